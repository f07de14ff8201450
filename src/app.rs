//! The composition root: settings in, running program out.
