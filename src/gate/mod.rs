//! The decision: subject, evidence and policy in, verdict with every reason out. Pure and total.
