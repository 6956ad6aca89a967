//! A command's program: read, checked, and without errors.

use super::terminal::{Color, look};
use super::{Exit, unable};
use crate::diagnostic::render::human;
use crate::load::{self, DiskFiles};
use crate::plan::Plan;
use std::path::Path;

/// The plan of a file; `-` is standard input. Inputs may lack values unless `inputs` gives them.
///
/// # Errors
/// Why there is none has been said on standard error.
pub fn plan(file: &Path, inputs: Option<&Path>, color: Color) -> Result<Plan, Exit> {
    let mut values = load::inputs::complete(inputs).map_err(unable)?;
    values.complete = inputs.is_some();
    let bytes = load::read_root(file).map_err(unable)?;
    let checked = load::check(&DiskFiles, &load::root_name(file), bytes, &values);
    checked.plan.ok_or_else(|| {
        eprint!("{}", human(&checked.diagnostics, &checked.sources, look(color)));
        Exit::Unable
    })
}
