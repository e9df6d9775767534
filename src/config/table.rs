//! The macros that turn one declaration of a table into its type, its reader, its writer and its documentation.
//!
//! ```text
//! table! {
//!     /// What the table is for.
//!     pub(super) struct Listener {
//!         /// Where to listen.
//!         address: ListenText = required,
//!         /// HTTP/2 by ALPN.
//!         http2: bool = { true },
//!         /// Certificates.
//!         tls: Vec<Placed<Pair>> = optional,
//!     }
//! }
//! ```
//! A `required` key becomes a `Placed<T>`, so does one with a default in braces; an `optional` one becomes
//! `Option<Placed<T>>`. Unknown keys are refused by the reader. `settings!` is a table without required keys, which
//! can therefore be left out as a whole: it is `Default` too. A `needed` key is for those: its absence is noted when a
//! table is read, and it is an `Option` nevertheless.

macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        pub(super) struct $name:ident {
            $( $(#[doc = $key_doc:literal])+ $key:ident : $kind:ty = $presence:tt, )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub(in crate::config) struct $name {
            /// Where the table stands.
            pub(in crate::config) mark: $crate::config::value::Mark,
            $( $(#[doc = $key_doc])+ pub(in crate::config) $key: table!(@type $presence $kind), )+
        }

        impl $name {
            /// The table's keys, with their documentation.
            pub(in crate::config) fn declaration() -> $crate::config::kind::Declaration {
                $crate::config::kind::Declaration {
                    doc: $crate::config::table::paragraph(&[$($doc),+]),
                    keys: vec![$(
                        $crate::config::kind::Key {
                            name: $crate::config::table::plain(stringify!($key)),
                            doc: $crate::config::table::paragraph(&[$($key_doc),+]),
                            kind: <$kind as $crate::config::value::Value>::kind(),
                            default: table!(@default $presence $kind),
                            required: table!(@required $presence),
                        },
                    )+],
                }
            }
        }

        impl $crate::config::value::Value for $name {
            fn kind() -> $crate::config::kind::Kind {
                $crate::config::kind::Kind::Table(Self::declaration())
            }

            fn read(
                node: &$crate::config::tree::Node,
                problems: &mut $crate::config::problem::Problems,
            ) -> Option<Self> {
                let mut keys = $crate::config::value::Keys::of(node, &Self::declaration(), problems)?;
                $( let $key = keys.take::<$kind>($crate::config::table::plain(stringify!($key)), problems); )+
                $( let $key = table!(@settle $presence keys $key problems); )+
                Some(Self { $( $key: table!(@unwrap $presence $key), )+ mark: keys.mark() })
            }

            fn write(&self) -> $crate::config::written::Written {
                let mut written = Vec::new();
                $( table!(@write $presence written self $key); )+
                $crate::config::written::Written::Table(written)
            }
        }
    };

    (@type needed $kind:ty) => { Option<$crate::config::value::Placed<$kind>> };
    (@type optional $kind:ty) => { Option<$crate::config::value::Placed<$kind>> };
    (@type $presence:tt $kind:ty) => { $crate::config::value::Placed<$kind> };

    (@required required) => { true };
    (@required needed) => { true };
    (@required $presence:tt) => { false };

    (@default required $kind:ty) => { None };
    (@default needed $kind:ty) => { None };
    (@default optional $kind:ty) => { None };
    (@default $default:block $kind:ty) => {{
        let default: $kind = $default;
        Some($crate::config::value::Value::write(&default))
    }};

    (@settle required $keys:ident $key:ident $problems:ident) => {
        $keys.require($key, $crate::config::table::plain(stringify!($key)), $problems)
    };
    (@settle needed $keys:ident $key:ident $problems:ident) => {
        $keys.require($key, $crate::config::table::plain(stringify!($key)), $problems)
    };
    (@settle optional $keys:ident $key:ident $problems:ident) => { $key };
    (@settle $default:block $keys:ident $key:ident $problems:ident) => {
        $key.unwrap_or_else(|| $crate::config::value::Placed::built_in($default))
    };

    (@unwrap required $key:ident) => { $key? };
    (@unwrap $presence:tt $key:ident) => { $key };

    (@write needed $written:ident $self:ident $key:ident) => { table!(@write optional $written $self $key); };
    (@write optional $written:ident $self:ident $key:ident) => {
        if let Some(placed) = &$self.$key {
            let name = $crate::config::table::plain(stringify!($key)).to_owned();
            $written.push((name, $crate::config::value::Value::write(&placed.value)));
        }
    };
    (@write $presence:tt $written:ident $self:ident $key:ident) => {
        let name = $crate::config::table::plain(stringify!($key)).to_owned();
        let value = $crate::config::value::Value::write(&$self.$key.value);
        if !value.is_empty_table() {
            $written.push((name, value));
        }
    };
}

macro_rules! settings {
    (
        $(#[doc = $doc:literal])+
        pub(super) struct $name:ident {
            $( $(#[doc = $key_doc:literal])+ $key:ident : $kind:ty = $presence:tt, )+
        }
    ) => {
        table! {
            $(#[doc = $doc])+
            pub(super) struct $name {
                $( $(#[doc = $key_doc])+ $key : $kind = $presence, )+
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { mark: Default::default(), $( $key: settings!(@value $presence), )+ }
            }
        }
    };

    (@value needed) => { None };
    (@value optional) => { None };
    (@value $default:block) => { $crate::config::value::Placed::built_in($default) };
}

/// A text type that is one of a few words, and what each word means.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ $type:ty { $( $word:literal => $value:path : $meaning:literal, )+ }) => {
        impl $crate::config::value::Text for $type {
            fn kind() -> $crate::config::kind::Kind {
                $crate::config::kind::Kind::Choice(vec![$( ($word, $meaning) ),+])
            }

            fn parse(text: &str, _: &std::path::Path) -> Result<Self, $crate::config::value::Wrong> {
                match text {
                    $( $word => Ok($value), )+
                    _ => Err($crate::config::suggest::unknown_word(text, &[$($word),+])),
                }
            }

            fn text(&self) -> String {
                match self { $( $value => $word, )+ }.to_owned()
            }
        }
    };
}

/// The lines of a doc comment as one paragraph.
pub(super) fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// A key's name as it stands in the file: without the mark of a name that Rust keeps to itself.
pub(super) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}
