//! MySQL and MariaDB as a target, against real servers, without the program around it.

mod faults;
mod keys;
mod lifts;
mod rules;
mod side;
mod types;
