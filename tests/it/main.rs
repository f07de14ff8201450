//! Behaviour tests: one binary, a module per promise.

#[cfg(test)]
mod support;
mod upstream_client;
mod upstream_credentials;
mod upstream_health;
mod upstream_redirects;
