//! Behaviour tests: one binary, a module per promise.

#[cfg(test)]
mod support;
