"""How many examples properties are tried on."""

from hypothesis import settings


def in_proportion(count: int) -> int:
    """So many examples where the profile says 100, and in proportion where it says more."""
    profile = settings.get_profile(settings.get_current_profile_name())
    return max(1, count * profile.max_examples // 100)
