"""What holds for every test: property tests are judged by their law, never by the clock."""

from hypothesis import settings

settings.register_profile("srcube", deadline=None, print_blob=True)
settings.load_profile("srcube")
