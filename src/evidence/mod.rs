//! Gathers what the gate needs, bounded and in parallel.
