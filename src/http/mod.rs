//! Listeners and everything that knows HTTP.
