//! PostgreSQL as a target, against real servers, without the program around it.

mod faults;
mod keys;
mod rights;
mod rules;
mod side;
mod types;
