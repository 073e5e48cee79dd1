//! What a component asks its host for: the names of its top-level imports, such as `kos:agent/crypto@0.1.0`.

use wasmparser::{BinaryReader, ComponentImportSectionReader};

use super::section::{self, ComponentError};

/// Real components import some dozens of interfaces; more are not worth listing.
const IMPORTS_MAX: usize = 1_024;

/// The names of the component's top-level imports, in its order. Those of components within it are its own matter.
///
/// # Errors
/// [`ComponentError`] for a file that is no component, and for malformed or too many imports.
pub fn imports(component: &[u8]) -> Result<Vec<String>, ComponentError> {
    let component = section::strip(component)?;
    let mut names = Vec::new();
    for section in section::sections(component) {
        let section = section?;
        if section.id == section::IMPORTS {
            read_section(section.content, section.range.start, &mut names)?;
        }
    }
    Ok(names)
}

fn read_section(content: &[u8], offset: usize, names: &mut Vec<String>) -> Result<(), ComponentError> {
    let refused = |cause: String| ComponentError::Imports { cause };
    let reader = BinaryReader::new(content, offset);
    let section = ComponentImportSectionReader::new(reader).map_err(|error| refused(error.to_string()))?;
    for import in section {
        let import = import.map_err(|error| refused(error.to_string()))?;
        if names.len() == IMPORTS_MAX {
            return Err(refused(format!("there are more than {IMPORTS_MAX}")));
        }
        names.push(import.name.name.to_owned());
    }
    Ok(())
}
