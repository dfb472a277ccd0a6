"""Settings of all tests: hypothesis counts examples, not milliseconds, as tests share their processors."""

from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
