"""Circuit breakers: a connection or host that fails is not asked again and again by every task that needs it."""
