//! Gathering from a registry in memory that lacks, lies and fails as it is told to.

mod children;
mod configs;
mod manifests;
mod registry;
mod signatures;
