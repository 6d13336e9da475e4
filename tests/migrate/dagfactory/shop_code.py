def make_list():
    return [[1], [2]]


def consume(value, fixed=None): ...


def number():
    return 1


def double(value):
    return value * 2


def scale(value, factor):
    return value * factor


def pair():
    return {"left": 1, "right": 2}


def tell(context): ...


def label(number):
    return f"at most {number}"


def choose():
    return "grouped"


def a_day_before(moment):
    return moment
