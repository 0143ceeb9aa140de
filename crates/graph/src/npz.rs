//! NumPy's `.npz` archives: a zip file with one `.npy` file for each name.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use crate::npy::{self, Array, NpyError};

/// The arrays of the bytes of a `.npz` file, by name.
///
/// # Errors
/// For bytes that are no archive, and for every member that [`npy::read`] does not read.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Array>, NpyError> {
    let damaged = |error: &dyn std::fmt::Display| NpyError::Archive(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).map_err(|error| damaged(&error))?;
            let name = member.name().trim_end_matches(".npy").to_string();
            let mut contents = Vec::new();
            member.read_to_end(&mut contents).map_err(|error| damaged(&error))?;
            Ok((name, npy::read(&contents)?))
        })
        .collect()
}
