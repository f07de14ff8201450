//! Behaviour tests: one binary, a module per promise.

#[cfg(test)]
mod support;
#[cfg(test)]
mod upstream_client;
#[cfg(test)]
mod upstream_credentials;
#[cfg(test)]
mod upstream_health;
#[cfg(test)]
mod upstream_redirects;
