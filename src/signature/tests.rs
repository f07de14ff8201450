//! Forgeries and damage, each refused; and what must pass.
