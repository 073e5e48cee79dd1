//! Where the signature lies in a component file, exactly.
//!
//! Source: WebAssembly component model, binary format; core specification 5.2.2 (LEB128) and 5.5.3 (custom sections).
//! A signed file is the component, byte for byte, and behind it one custom section named `kos:signature` whose content
//! is the envelope. In scope: the outer frame, strictly. Out of scope: what the other sections hold, which the compiler
//! validates once the signature has been.

use std::ops::Range;

use crate::envelope::{Envelope, EnvelopeError};

/// The largest component that is read. Interpreters of other languages compile to 12 to 18 MB.
pub const COMPONENT_MAX: usize = 64 << 20;
/// A statement of 64 KiB as base64, with sixteen signatures, twice over.
const SIGNATURE_MAX: usize = 256 << 10;
/// The largest file that is read: a component and its signature. For the caller's capped read.
pub const FILE_MAX: u64 = (COMPONENT_MAX + SIGNATURE_MAX) as u64;

/// The name of the signature's section.
const SECTION_NAME: &[u8] = b"kos:signature";
/// `\0asm`, with which everything in the WebAssembly binary format begins.
const MAGIC: &[u8] = b"\0asm";
/// Version 13, layer 1: a component.
const COMPONENT_VERSION: [u8; 4] = [0x0d, 0x00, 0x01, 0x00];
/// Version 1, layer 0: a core module.
const MODULE_VERSION: [u8; 4] = [0x01, 0x00, 0x00, 0x00];
/// What an ELF file begins with; precompiled WebAssembly (`.cwasm`) is one.
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// The magic and the version.
const PREAMBLE: usize = 8;
/// The identifier of a custom section.
const CUSTOM: u8 = 0;
/// The identifier of an import section of a component.
pub(super) const IMPORTS: u8 = 10;

/// Why a file is not a component that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Beyond the cap.
    #[error("the {what} has {size} bytes; at most {max} are read")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The cap in bytes.
        max: usize,
    },
    /// Not in the WebAssembly binary format at all.
    #[error("the file is not WebAssembly")]
    NotWasm,
    /// A core module, which has no typed imports that could be granted.
    #[error("the file is a core WebAssembly module, not a component")]
    CoreModule,
    /// Native code made from WebAssembly elsewhere. It runs outside every check, so only the host makes its own.
    #[error("the file is precompiled native code (.cwasm or ELF), which is never accepted from outside")]
    Precompiled,
    /// A component of a format that this version does not know.
    #[error("the file is WebAssembly of another format (version bytes {found:02x?})")]
    Format {
        /// The four version bytes.
        found: [u8; 4],
    },
    /// It ends within its preamble or within a section.
    #[error("the file is cut short: what begins at byte {offset} does not end")]
    Truncated {
        /// Where the part begins that does not end.
        offset: usize,
    },
    /// A length or a name is not well formed.
    #[error("the section at byte {offset} is malformed")]
    Section {
        /// Where the section begins.
        offset: usize,
    },
    /// More than one signature.
    #[error("the file has more than one signature section (the second at byte {offset})")]
    TwoSignatures {
        /// Where the second begins.
        offset: usize,
    },
    /// Something stands behind the signature, which does not cover it.
    #[error("the signature section is not the last one: bytes from {offset} on are not covered by it")]
    SignatureNotLast {
        /// Where the uncovered part begins.
        offset: usize,
    },
    /// The signature's section is written in a longer form than it needs.
    #[error("the signature section at byte {offset} is not in its one canonical form")]
    NotCanonical {
        /// Where the section begins.
        offset: usize,
    },
    /// There is a signature inside and one beside; which one counts is not to be guessed.
    #[error("the file carries a signature and another one was given beside it")]
    EmbeddedAndDetached,
    /// The signature is not an envelope in its one form.
    #[error("the signature is refused: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The import section is malformed.
    #[error("the component's imports cannot be read: {cause}")]
    Imports {
        /// What is wrong, and where.
        cause: String,
    },
}

impl ComponentError {
    /// What to do about it, where there is something.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::CoreModule => Some(
                "cargo build --target wasm32-wasip2   (or: wasm-tools component new MODULE.wasm)".to_owned(),
            ),
            Self::Precompiled => Some(
                "give kos-run the component itself (.wasm); it compiles it and keeps the result".to_owned(),
            ),
            Self::NotWasm | Self::Format { .. } => Some("cargo build --target wasm32-wasip2".to_owned()),
            Self::Empty | Self::Truncated { .. } | Self::Section { .. } => {
                Some("copy or build the component again".to_owned())
            }
            Self::TwoSignatures { .. }
            | Self::SignatureNotLast { .. }
            | Self::NotCanonical { .. }
            | Self::Envelope(_) => Some("build the component again, then: kos sign AGENT.wasm".to_owned()),
            Self::EmbeddedAndDetached => {
                Some("remove the signature file, or take the component without its own signature".to_owned())
            }
            Self::TooLarge { .. } | Self::Imports { .. } => None,
        }
    }
}

/// One top-level section of a component.
pub(super) struct Section<'a> {
    pub(super) id: u8,
    /// From the section's identifier to its end.
    pub(super) range: Range<usize>,
    pub(super) content: &'a [u8],
}

/// How a file divides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The component is the file's first so many bytes.
    pub(super) component: usize,
    /// Where the envelope lies, if the file has one.
    pub(super) envelope: Option<Range<usize>>,
}

/// Divides a file into the component and its signature.
pub(super) fn divide(file: &[u8]) -> Result<Frame, ComponentError> {
    check_preamble(file)?;
    let mut found: Option<(usize, Range<usize>)> = None;
    let mut offset = PREAMBLE;
    while let Some(section) = next_section(file, offset)? {
        let is_signature = is_signature(&section)?;
        match (&found, is_signature) {
            (Some(_), true) => return Err(ComponentError::TwoSignatures { offset }),
            (Some(_), false) => return Err(ComponentError::SignatureNotLast { offset }),
            (None, true) => found = Some((offset, canonical_content(&section)?)),
            (None, false) => {}
        }
        offset = section.range.end;
    }
    let component = found.as_ref().map_or(file.len(), |(start, _)| *start);
    check_size("component", component, COMPONENT_MAX)?;
    check_size("signature section", file.len() - component, SIGNATURE_MAX)?;
    Ok(Frame { component, envelope: found.map(|(_, envelope)| envelope) })
}

/// The component without its signature: exactly the bytes that the author built. Unsigned ones are returned whole.
///
/// # Errors
/// [`ComponentError`] for a file that is no component, or whose signature is out of place.
pub fn strip(file: &[u8]) -> Result<&[u8], ComponentError> {
    let frame = divide(file)?;
    file.get(..frame.component).ok_or(ComponentError::Truncated { offset: frame.component })
}

/// The component with this envelope behind it; a signature that it had is replaced.
///
/// # Errors
/// [`ComponentError`] for a file that is no component, or an envelope beyond the cap.
pub fn attach(file: &[u8], envelope: &Envelope) -> Result<Vec<u8>, ComponentError> {
    let component = strip(file)?;
    let mut content = leb(SECTION_NAME.len());
    content.extend_from_slice(SECTION_NAME);
    content.extend_from_slice(&envelope.to_bytes()?);
    let mut section = vec![CUSTOM];
    section.extend_from_slice(&leb(content.len()));
    section.extend_from_slice(&content);
    check_size("signature section", section.len(), SIGNATURE_MAX)?;
    Ok([component, &section].concat())
}

/// The top-level sections of a component, in order.
pub(super) fn sections(component: &[u8]) -> impl Iterator<Item = Result<Section<'_>, ComponentError>> {
    let mut offset = PREAMBLE;
    std::iter::from_fn(move || {
        let section = next_section(component, offset).transpose()?;
        offset = section.as_ref().map_or(component.len(), |section| section.range.end);
        Some(section)
    })
}

fn check_size(what: &'static str, size: usize, max: usize) -> Result<(), ComponentError> {
    if size > max { Err(ComponentError::TooLarge { what, size, max }) } else { Ok(()) }
}

fn check_preamble(file: &[u8]) -> Result<(), ComponentError> {
    check_size("file", file.len(), COMPONENT_MAX + SIGNATURE_MAX)?;
    if file.is_empty() {
        return Err(ComponentError::Empty);
    }
    if file.starts_with(ELF_MAGIC) {
        return Err(ComponentError::Precompiled);
    }
    if !file.starts_with(MAGIC) {
        return Err(if MAGIC.starts_with(file) {
            ComponentError::Truncated { offset: 0 }
        } else {
            ComponentError::NotWasm
        });
    }
    let version = file.get(MAGIC.len()..PREAMBLE).and_then(|version| version.try_into().ok());
    match version.ok_or(ComponentError::Truncated { offset: 0 })? {
        COMPONENT_VERSION => Ok(()),
        MODULE_VERSION => Err(ComponentError::CoreModule),
        found => Err(ComponentError::Format { found }),
    }
}

/// The section that begins at `offset`; none at the end of the file.
fn next_section(file: &[u8], offset: usize) -> Result<Option<Section<'_>>, ComponentError> {
    let Some((id, rest)) = file.get(offset..).and_then(<[u8]>::split_first) else { return Ok(None) };
    let (size, length) = read_leb(rest, offset)?;
    let start = offset + 1 + length;
    let range = start..start.saturating_add(size);
    let content = file.get(range.clone()).ok_or(ComponentError::Truncated { offset })?;
    Ok(Some(Section { id: *id, range: offset..range.end, content }))
}

fn is_signature(section: &Section<'_>) -> Result<bool, ComponentError> {
    if section.id != CUSTOM {
        return Ok(false);
    }
    let offset = section.range.start;
    let malformed = ComponentError::Section { offset };
    let (size, length) = read_leb(section.content, offset).map_err(|_| malformed.clone())?;
    let name = section.content.get(length..length.saturating_add(size)).ok_or(malformed)?;
    Ok(name == SECTION_NAME)
}

/// Where the envelope lies in the signature's section, if both of its lengths are written as shortly as they can be.
fn canonical_content(section: &Section<'_>) -> Result<Range<usize>, ComponentError> {
    let Range { start, end } = section.range;
    let shortest_head = 1 + leb(section.content.len()).len() + leb(SECTION_NAME.len()).len();
    let name_length = section.content.first().copied().map(usize::from);
    let is_shortest = end - start == 1 + leb(section.content.len()).len() + section.content.len()
        && name_length == Some(SECTION_NAME.len());
    if !is_shortest {
        return Err(ComponentError::NotCanonical { offset: start });
    }
    Ok(start + shortest_head + SECTION_NAME.len()..end)
}

/// An unsigned 32-bit LEB128 number at the head of `bytes`, and how many bytes it takes.
fn read_leb(bytes: &[u8], offset: usize) -> Result<(usize, usize), ComponentError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| ComponentError::Section { offset })?;
            let value = usize::try_from(value).map_err(|_| ComponentError::Section { offset })?;
            return Ok((value, index + 1));
        }
    }
    Err(if bytes.len() < 5 {
        ComponentError::Truncated { offset }
    } else {
        ComponentError::Section { offset }
    })
}

/// The shortest LEB128 form of a number.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0x7f);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
