//! Scanners behind Harbor's scanner API: they read the image here by a pass, and report.

mod asking;
mod fake;
mod gates;
mod passes;
mod whole;
