"""Spark: the delay of every carrier on a day, with the weather at the hour of departure.

The same input gives the same bytes: one sorted file, rounded means, the time of computing as an argument.
"""

from __future__ import annotations

import argparse

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flights", required=True, help="URI of the day's flights, CSV")
    parser.add_argument("--weather", required=True, help="URI of the day's weather, CSV")
    parser.add_argument("--out", required=True, help="URI of the folder to write")
    parser.add_argument("--computed-at", required=True, help="ISO time, the version of the result")
    args = parser.parse_args()
    spark = SparkSession.builder.appName("delays").getOrCreate()
    result = delays(read(spark, args.flights), read(spark, args.weather), args.computed_at)
    result.coalesce(1).sort("carrier", "day").write.mode("overwrite").csv(args.out, header=True)
    spark.stop()


def read(spark: SparkSession, uri: str) -> DataFrame:
    return spark.read.csv(uri, header=True, nullValue="NA")


def delays(flights: DataFrame, weather: DataFrame, computed_at: str) -> DataFrame:
    """One row a carrier and day. Windy is above 20 mph; a speed above 200 is a broken gauge."""
    at_departure = weather.select(
        "origin",
        "time_hour",
        f.col("visib").cast("double").alias("visibility"),
        f.when(f.col("wind_speed").cast("double") < 200, f.col("wind_speed").cast("double")).alias("wind"),
    ).dropDuplicates(["origin", "time_hour"])
    delay = f.col("dep_delay").cast("double")
    day = f.to_date(f.concat_ws("-", "year", f.lpad("month", 2, "0"), f.lpad("day", 2, "0")))
    return (
        flights.join(at_departure, ["origin", "time_hour"], "left")
        .groupBy("carrier", day.alias("day"))
        .agg(
            f.count("*").alias("flights"),
            f.count(f.when(f.col("dep_time").isNull(), 1)).alias("cancelled"),
            f.round(f.avg(delay), 3).alias("mean_delay"),
            f.round(f.avg(f.when(f.col("wind") > 20, delay)), 3).alias("mean_delay_windy"),
            f.round(f.avg("visibility"), 3).alias("mean_visibility"),
        )
        .withColumn("computed_at", f.lit(computed_at))
    )


if __name__ == "__main__":
    main()
