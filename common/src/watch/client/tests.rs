//! Against real servers on loopback: ours, and some that misbehave by a script.

mod kit;
mod polling;
mod streams;
mod trouble;
