"""The project: settings, entry points and the parts every app shares."""
