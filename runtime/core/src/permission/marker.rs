//! Each capability as a type, so that the compiler knows which one a [`super::Grant`] is for (I3).

use crate::capability::Capability;

mod sealed {
    /// Keeps the set of capabilities closed.
    pub trait Sealed {}
}

/// A capability as a type; the list is closed.
pub trait CapabilityMarker: sealed::Sealed {
    /// The capability.
    const CAPABILITY: Capability;
}

/// One uninhabited type for each capability.
macro_rules! markers {
    ($($name:ident),*) => {
        $(
            #[doc = concat!("[`Capability::", stringify!($name), "`] as a type.")]
            #[derive(Debug)]
            pub enum $name {}

            impl sealed::Sealed for $name {}

            impl CapabilityMarker for $name {
                const CAPABILITY: Capability = Capability::$name;
            }
        )*

        /// The capabilities that have a type.
        #[cfg(test)]
        const MARKED: &[Capability] = &[$(Capability::$name),*];
    };
}

markers!(
    IdentitySelf,
    IdentityGrants,
    CryptoHash,
    CryptoSign,
    CryptoVerify,
    CryptoSeal,
    CryptoOpen,
    AuditNote,
    VaultList,
    VaultPut,
    VaultDelete,
    VaultUse,
    VaultReveal,
    VaultSend,
    HttpRequest,
    MessagingSend,
    MessagingReceive
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_type_and_its_place_in_the_list() {
        assert_eq!(MARKED, Capability::ALL);
        for (place, capability) in Capability::ALL.into_iter().enumerate() {
            assert_eq!(capability as usize, place, "rules are found by this place");
        }
    }
}
