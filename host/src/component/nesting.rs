//! How deeply the types of a component's type section lie in each other.
//!
//! The parser reads a type within a type by calling itself: three bytes a level, and
//! some thousands of levels end the process. So the levels are counted first, here,
//! without recursion.

use super::bounds::{Counts, Part, at_most, invalid};
use crate::engine::FEATURES;
use crate::error::Result;
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternName, ComponentImport, ComponentType,
    ComponentTypeRef, CoreType,
};

/// The types that have declarations inside them.
const COMPONENT_TYPE: u8 = 0x41;
const INSTANCE_TYPE: u8 = 0x42;

/// Counts the types of a section, whose bytes begin with the number of its types.
pub(super) fn check(section: &[u8], offset: usize, counts: &mut Counts) -> Result<()> {
    let mut reader = BinaryReader::new_features(section, offset, FEATURES);
    // What is still to be read on each level: of the section, and of open types.
    let mut levels = vec![reader.read_var_u32().map_err(invalid)?];
    while let Some(left) = levels.last_mut() {
        let Some(fewer) = left.checked_sub(1) else {
            levels.pop();
            continue;
        };
        *left = fewer;
        counts.add(Part::Types, 1u64)?;
        let is_inside = levels.len() > 1;
        if is_inside && !begins_type(&mut reader, counts)? {
            continue;
        }
        if let Some(inside) = read_type(&mut reader).map_err(invalid)? {
            at_most(levels.len() as u64, "levels of types", counts.nesting_max())?;
            levels.push(inside);
        }
    }
    Ok(())
}

/// Whether a declaration is a type, which then follows. Any other is read here.
fn begins_type(reader: &mut BinaryReader<'_>, counts: &mut Counts) -> Result<bool> {
    match reader.read_u8().map_err(invalid)? {
        0x00 => {
            let ty = reader.read::<CoreType>().map_err(invalid)?;
            counts.add_core_type(&ty)?;
        }
        0x01 => return Ok(true),
        0x02 => {
            reader.read::<ComponentAlias>().map_err(invalid)?;
        }
        0x03 => {
            reader.read::<ComponentImport>().map_err(invalid)?;
        }
        _ => {
            reader.read::<ComponentExternName>().map_err(invalid)?;
            reader.read::<ComponentTypeRef>().map_err(invalid)?;
        }
    }
    Ok(false)
}

/// Reads a type, or only its head if there are declarations inside: then, how many.
fn read_type(reader: &mut BinaryReader<'_>) -> wasmparser::Result<Option<u32>> {
    let mut ahead = reader.clone();
    if matches!(ahead.read_u8()?, COMPONENT_TYPE | INSTANCE_TYPE) {
        let inside = ahead.read_var_u32()?;
        *reader = ahead;
        return Ok(Some(inside));
    }
    reader.read::<ComponentType>()?;
    Ok(None)
}
