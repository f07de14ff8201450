//! A stanza of a control file (deb822): fields, of which only a few are kept.

/// A field that says something about what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Architecture,
    Maintainer,
    Package,
    Source,
    Status,
    Vendor,
    Version,
}

impl Field {
    /// Whether it says which package it is, and not only whose.
    fn names(self) -> bool {
        !matches!(self, Self::Maintainer | Self::Vendor)
    }

    /// The field of this name; names are the same in upper and lower case.
    fn named(name: &[u8]) -> Option<Self> {
        let fields: [(&[u8], Self); 7] = [
            (b"Architecture", Self::Architecture),
            (b"Maintainer", Self::Maintainer),
            (b"Package", Self::Package),
            (b"Source", Self::Source),
            (b"Status", Self::Status),
            (b"Vendor", Self::Vendor),
            (b"Version", Self::Version),
        ];
        fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, field)| field)
    }
}

/// What has been read of a stanza.
#[derive(Debug, Default)]
pub(super) struct Stanza<'a> {
    /// Whether there was any line at all.
    has_lines: bool,
    /// The last field that began, if it is one that is kept: a folded line may belong to it.
    last: Option<Field>,
    architecture: Option<&'a [u8]>,
    maintainer: Option<&'a [u8]>,
    package: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    vendor: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
}

impl<'a> Stanza<'a> {
    /// Whether nothing of it has been read yet.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_lines
    }

    /// The value of a field, without the space around it; `None` where it is missing or empty.
    pub(super) fn get(&self, field: Field) -> Option<&'a [u8]> {
        let value = match field {
            Field::Architecture => self.architecture,
            Field::Maintainer => self.maintainer,
            Field::Package => self.package,
            Field::Source => self.source,
            Field::Status => self.status,
            Field::Vendor => self.vendor,
            Field::Version => self.version,
        };
        value.filter(|value| !value.is_empty())
    }

    /// Takes the next line of it.
    ///
    /// # Errors
    /// What is wrong with the line; the rest can be read on.
    pub(super) fn take(&mut self, line: &'a [u8]) -> Result<(), &'static str> {
        self.has_lines = true;
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            // Fields that are kept are never folded by dpkg: who reads only the first line of one, or
            // all of it, would see different packages.
            return if self.last.is_some_and(Field::names) { Err("a folded line") } else { Ok(()) };
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = colon.and_then(|at| line.split_at_checked(at)).ok_or("no field")?;
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err("no name of a field");
        }
        self.last = Field::named(name);
        let Some(field) = self.last else { return Ok(()) };
        let slot = match field {
            Field::Architecture => &mut self.architecture,
            Field::Maintainer => &mut self.maintainer,
            Field::Package => &mut self.package,
            Field::Source => &mut self.source,
            Field::Status => &mut self.status,
            Field::Vendor => &mut self.vendor,
            Field::Version => &mut self.version,
        };
        if slot.is_some() && field.names() {
            return Err("a second field of the name");
        }
        *slot = Some(value.strip_prefix(b":").unwrap_or(value).trim_ascii());
        Ok(())
    }
}
