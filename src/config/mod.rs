//! The settings file, checked and turned into each module's own settings.
