//! Compiler from typed graphs to Frugal programs.
