//! SQLite on both sides, on real files, without the program around it.

mod capture;
mod faults;
mod fence;
mod fence_load;
mod keys;
mod pinned;
mod reading;
mod replaced;
mod rig;
mod rules;
mod settings;
mod unreadable;
mod values;
mod writing;
