//! SQLite on both sides, on real files, without the program around it.

mod capture;
mod faults;
mod keys;
mod reading;
mod rig;
mod rules;
mod values;
mod writing;
