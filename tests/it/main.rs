//! Behaviour tests: one binary, a module per promise.

mod layering;
mod support;
