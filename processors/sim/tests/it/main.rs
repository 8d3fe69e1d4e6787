//! Tests of the simulator and, by it, of the chain and the worker.

mod controls;
mod seeds;
