//! Fuzz targets of the scanner; their bodies stand beside what they test.

pub(crate) use super::catalog::language::fuzzing::language as fuzz_language;
pub(crate) use super::catalog::system::fuzzing::system as fuzz_system;
pub(crate) use super::database::fuzzing::database as fuzz_database;
pub(crate) use super::layer::fuzzing::layer as fuzz_layer;
pub(crate) use super::sbom::read::fuzzing::bill as fuzz_bill;
pub(crate) use super::vex::fuzzing::vex as fuzz_vex;
