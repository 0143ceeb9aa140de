//! Board tops and synthesis recipes.
