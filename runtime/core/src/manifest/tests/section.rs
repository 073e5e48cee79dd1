//! Files that are no components, and signatures out of place.

use super::*;

/// The refusal of a file.
fn refusal(file: &[u8]) -> ComponentError {
    UnverifiedComponent::read(file.to_vec(), None).unwrap_err()
}

/// A custom section with lengths as given.
fn custom(size: &[u8], name_size: &[u8], content: &[u8]) -> Vec<u8> {
    [&[0], size, name_size, b"kos:signature", content].concat()
}

#[test]
fn stripping_gives_the_component_back_byte_for_byte() {
    let file = signed();
    assert_eq!(strip(&file).unwrap(), component());
    assert_eq!(&file[..component().len()], component());
    let read = UnverifiedComponent::read(file, None).unwrap();
    assert!(read.is_signed());
    assert_eq!(read.component_bytes(), component());
    assert_eq!(strip(&component()).unwrap(), component());
}

#[test]
fn attaching_replaces_an_earlier_signature() {
    let envelope = sign(&signed(), &manifest_of(8), &[&key(8)]).unwrap();
    let again = attach(&signed(), &envelope).unwrap();
    assert_eq!(again, signed_by(8, &[8]));
}

#[test]
fn the_signed_file_is_still_a_valid_component() {
    wasmparser::Validator::new().validate_all(&signed()).unwrap();
}

#[test]
fn the_imports_are_listed_by_name() {
    assert_eq!(imports(&signed()).unwrap(), ["kos:agent/crypto@0.1.0"]);
    assert!(imports(b"\0asm\x0d\0\x01\0").unwrap().is_empty());
    assert!(matches!(
        imports(b"\0asm\x0d\0\x01\0\x0a\x02\xff\x01").unwrap_err(),
        ComponentError::Imports { .. }
    ));
}

#[test]
fn an_empty_file_is_refused() {
    assert_eq!(refusal(b""), ComponentError::Empty);
}

#[test]
fn a_file_that_is_not_webassembly_is_refused() {
    for file in [&b"#!/bin/sh"[..], b"(component)", b"PK\x03\x04", b"\0", b"\0asM\x0d\0\x01\0"] {
        let error = refusal(file);
        assert!(matches!(error, ComponentError::NotWasm | ComponentError::Truncated { .. }), "{error}");
    }
}

#[test]
fn a_core_module_is_refused_with_the_way_to_a_component() {
    let error = refusal(b"\0asm\x01\0\0\0");
    assert_eq!(error, ComponentError::CoreModule);
    assert!(error.remedy().unwrap().starts_with("cargo build --target wasm32-wasip2"));
}

#[test]
fn precompiled_native_code_is_refused() {
    let error = refusal(b"\x7fELF\x02\x01\x01");
    assert_eq!(error, ComponentError::Precompiled);
    assert!(error.to_string().contains("never accepted from outside"));
}

#[test]
fn a_component_of_another_format_is_refused() {
    assert_eq!(refusal(b"\0asm\x0e\0\x01\0"), ComponentError::Format { found: [0x0e, 0, 1, 0] });
}

#[test]
fn a_file_cut_short_anywhere_is_refused_or_unsigned() {
    let file = signed();
    let trust = trust();
    for length in 0..file.len() {
        let refused = verify(&file[..length], &trust).unwrap_err();
        assert!(matches!(refused, Refusal::Component(_) | Refusal::Unsigned), "{length}: {refused}");
    }
}

#[test]
fn a_file_beyond_the_cap_is_refused() {
    let mut file = b"\0asm\x0d\0\x01\0\x00\x80\x80\x80\x20\x01x".to_vec();
    file.resize(8 + 5 + (64 << 20), 0);
    assert!(matches!(refusal(&file), ComponentError::TooLarge { what: "component", .. }));
    file.resize(usize::try_from(FILE_MAX).unwrap() + 1, 0);
    assert!(matches!(refusal(&file), ComponentError::TooLarge { what: "file", .. }));
}

#[test]
fn an_oversized_signature_is_refused() {
    let content = vec![b' '; 300 << 10];
    let file = [component(), custom(b"\x8e\xe0\x12", b"\x0d", &content)].concat();
    assert!(matches!(refusal(&file), ComponentError::TooLarge { what: "signature section", .. }));
}

#[test]
fn two_signatures_are_refused() {
    let file = signed();
    let section = &file[component().len()..];
    assert!(matches!(refusal(&[&file[..], section].concat()), ComponentError::TwoSignatures { .. }));
    let empty = custom(b"\x0e", b"\x0d", b"");
    assert!(matches!(refusal(&[&file[..], &empty].concat()), ComponentError::TwoSignatures { .. }));
}

#[test]
fn bytes_behind_the_signature_are_refused() {
    let file = signed();
    let with_section = [&file[..], b"\x00\x05\x04more"].concat();
    assert!(matches!(refusal(&with_section), ComponentError::SignatureNotLast { .. }));
    for trailing in [&b"\0"[..], b"\n", b"\xff\xff\xff\xff\xff\xff", b"\0\x05\x04mor"] {
        let error = refusal(&[&file[..], trailing].concat());
        assert!(
            matches!(error, ComponentError::Truncated { .. } | ComponentError::Section { .. }),
            "{trailing:?}: {error}"
        );
    }
}

#[test]
fn a_signature_in_the_middle_is_refused() {
    let file = signed();
    let section = &file[component().len()..];
    let component = component();
    let moved = [&component[..8], section, &component[8..]].concat();
    assert!(matches!(refusal(&moved), ComponentError::SignatureNotLast { .. }));
}

#[test]
fn a_signature_section_in_a_longer_form_is_refused() {
    for (size, name_size) in [
        (&b"\x90\x00"[..], &b"\x0d"[..]),
        (b"\x10", b"\x8d\x00"),
        (b"\x11", b"\x8d\x80\x00"),
        (b"\x90\x80\x80\x80\x00", b"\x0d"),
    ] {
        let content = &b"{}"[..];
        let file = [component(), custom(size, name_size, content)].concat();
        let error = refusal(&file);
        assert!(
            matches!(
                error,
                ComponentError::NotCanonical { .. }
                    | ComponentError::Truncated { .. }
                    | ComponentError::Section { .. }
            ),
            "{size:?} {name_size:?}: {error}"
        );
    }
    let padded_name = [component(), custom(b"\x11", b"\x8d\x00", b"{}")].concat();
    assert!(matches!(refusal(&padded_name), ComponentError::NotCanonical { .. }));
    let padded_size = [component(), custom(b"\x90\x00", b"\x0d", b"{}")].concat();
    assert!(matches!(refusal(&padded_size), ComponentError::NotCanonical { .. }));
}

#[test]
fn lengths_beyond_32_bits_are_refused() {
    for head in
        [&b"\x00\xff\xff\xff\xff\xff\x01"[..], b"\x00\xff\xff\xff\xff\x7f", b"\x00\xff\xff\xff\xff\x0f"]
    {
        let file = [b"\0asm\x0d\0\x01\0", head].concat();
        assert!(
            matches!(refusal(&file), ComponentError::Section { .. } | ComponentError::Truncated { .. }),
            "{head:?}"
        );
    }
}

#[test]
fn a_signature_section_that_holds_no_envelope_is_refused() {
    let file = [component(), custom(b"\x10", b"\x0d", b"{}")].concat();
    assert!(matches!(refusal(&file), ComponentError::Envelope(_)));
}

#[test]
fn a_signature_section_within_a_nested_component_is_part_of_the_component() {
    let inner = signed();
    let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
    let size = inner.len();
    outer.extend_from_slice(&[u8::try_from(size % 128).unwrap() | 0x80, u8::try_from(size / 128).unwrap()]);
    outer.extend_from_slice(&inner);
    let read = UnverifiedComponent::read(outer.clone(), None).unwrap();
    assert!(!read.is_signed());
    assert_eq!(read.component_bytes(), outer);
    assert_eq!(read.verify(&trust(), now()), Err(Refusal::Unsigned));
}

#[test]
fn a_detached_signature_counts_as_an_embedded_one_and_never_beside_one() {
    let envelope = sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap().to_bytes().unwrap();
    let read = UnverifiedComponent::read(component(), Some(&envelope)).unwrap();
    assert_eq!(read.verify(&trust(), now()), verify(&signed(), &trust()));
    assert_eq!(
        UnverifiedComponent::read(signed(), Some(&envelope)),
        Err(ComponentError::EmbeddedAndDetached)
    );
    for other in [&b""[..], b"{}", &[&envelope[..], b"\n"].concat()] {
        assert!(matches!(
            UnverifiedComponent::read(component(), Some(other)),
            Err(ComponentError::Envelope(_))
        ));
    }
}

#[test]
fn a_detached_signature_of_another_file_is_refused() {
    let envelope = sign(&component(), &manifest_of(AUTHOR), &[&key(AUTHOR)]).unwrap().to_bytes().unwrap();
    let other = b"\0asm\x0d\0\x01\0".to_vec();
    let read = UnverifiedComponent::read(other, Some(&envelope)).unwrap();
    assert!(matches!(read.verify(&trust(), now()), Err(Refusal::Digest { .. })));
}

#[test]
fn an_invalid_component_is_not_signed() {
    let invalid = b"\0asm\x0d\0\x01\0\x0d\x01\x00";
    assert!(matches!(
        sign(invalid, &manifest_of(AUTHOR), &[&key(AUTHOR)]),
        Err(SignComponentError::Invalid { .. })
    ));
}
