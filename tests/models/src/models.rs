//! Models that are of no one module's: those stand beside what they run.

mod guards;
