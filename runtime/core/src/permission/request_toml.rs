//! Reads the TOML in which operators write permissions.
//!
//! ```toml
//! expires = "30d"           # required: a span, a date, or "never"
//! pin = "component"         # or "author"
//! [capabilities]
//! "crypto.hash" = { scope = ["sha-512", "blake3"] }
//! "crypto.sign" = { scope = ["receipt", "!receipt-internal"], conditions = ["rate<=100/1m"], expires = "7d" }
//! "crypto.open" = "deny"
//! "identity.self" = {}
//! [resources]
//! memory = "write"          # what a component needs to run, unless it is written otherwise
//! storage = "none"
//! network = "none"          # "restricted" with hosts = ["api.example.org:443"]
//! [limits]
//! memory = "16MiB"
//! ```
//!
//! In scope: places and fixes in errors. Keeps I2: an unknown key, capability, scope or condition is refused.

use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access::{MemoryAccess, ResourceAccess};
use super::document::ScopeItem;
use super::limit_name::LimitName;
use super::request::{PermissionRequest, PinKind, RuleRequest, When};
use super::request_error::{RequestError, ValueError, hint};
use crate::capability::Capability;
use crate::line;
use crate::manifest::{Instances, Service};

/// Room for every capability with all its scopes.
const REQUEST_MAX: usize = 256 << 10;

type Value<'a> = Spanned<DeValue<'a>>;

/// Reads a request.
pub(super) fn read(text: &str) -> Result<PermissionRequest, RequestError> {
    if text.len() > REQUEST_MAX {
        return Err(RequestError::TooLarge { size: text.len(), most: REQUEST_MAX });
    }
    let reader = Reader { text };
    let root = DeTable::parse(text).map_err(|error| {
        let (line, column) = reader.place(error.span().map_or(0, |span| span.start));
        RequestError::Syntax { line, column, cause: error.message().to_owned() }
    })?;
    reader.request(root.get_ref())
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn request(&self, root: &DeTable<'_>) -> Result<PermissionRequest, RequestError> {
        const KEYS: [&str; 8] = [
            "expires",
            "not_before",
            "pin",
            "allow_rollback",
            "capabilities",
            "resources",
            "limits",
            "service",
        ];
        let expires = root
            .iter()
            .find(|(key, _)| key.get_ref() == "expires")
            .map(|(_, value)| self.when("expires", value))
            .transpose()?
            .ok_or(RequestError::Missing {
                key: "expires",
                fix: "`expires = \"30d\"`, a date, or `\"never\"`",
            })?;
        let mut request = PermissionRequest::until(expires);
        for (key, value) in root {
            match key.get_ref().as_ref() {
                "expires" => {}
                "not_before" => {
                    request.not_before = self.when("not_before", value)?;
                    if request.not_before == When::Never {
                        return Err(self.kind(value, "not_before", "a date or a span"));
                    }
                }
                "pin" => request.pin = self.pin(value)?,
                "allow_rollback" => {
                    let kind = || self.kind(value, "allow_rollback", "true or false");
                    request.allow_rollback = value.get_ref().as_bool().ok_or_else(kind)?;
                }
                "capabilities" => self.capabilities(&mut request, self.table("capabilities", value)?)?,
                "resources" => self.resources(&mut request, self.table("resources", value)?)?,
                "limits" => self.limits(&mut request, self.table("limits", value)?)?,
                "service" => request.service = Some(self.service(value)?),
                other => return Err(self.unknown(key, "the permissions", hint(other, &KEYS))),
            }
        }
        Ok(request)
    }

    fn pin(&self, value: &Value<'_>) -> Result<PinKind, RequestError> {
        match self.string("pin", value)? {
            "component" => Ok(PinKind::Component),
            "author" => Ok(PinKind::Author),
            other => {
                let word = ValueError::Word { text: line::shown(other), expected: "component, author" };
                Err(self.value(value, word, hint(other, &["component", "author"])))
            }
        }
    }

    fn capabilities(&self, request: &mut PermissionRequest, table: &DeTable<'_>) -> Result<(), RequestError> {
        for (key, value) in table {
            let capability: Capability = key.get_ref().parse().map_err(|error| {
                let hint = capability_hint(key.get_ref(), value.get_ref());
                self.error_at(key.span().start, ValueError::Capability(error), hint)
            })?;
            let rule = self.rule(capability, value)?;
            rule.check(capability).map_err(|error| self.value(value, error, String::new()))?;
            request.capabilities.insert(capability, rule);
        }
        Ok(())
    }

    fn rule(&self, capability: Capability, value: &Value<'_>) -> Result<RuleRequest, RequestError> {
        const KEYS: [&str; 3] = ["scope", "conditions", "expires"];
        if let Some(word) = value.get_ref().as_str() {
            if word == "deny" {
                return Ok(RuleRequest { granted: false, ..RuleRequest::allowing() });
            }
            let source = ValueError::Word {
                text: line::shown(word),
                expected: "deny, or a table { scope = [\"…\"] }",
            };
            return Err(self.value(value, source, hint(word, &["deny"])));
        }
        let kind =
            || self.kind(value, capability.as_str(), "`\"deny\"` or a table such as `{ scope = [\"…\"] }`");
        let mut rule = RuleRequest::allowing();
        let mut has_scope = false;
        for (key, value) in value.get_ref().as_table().ok_or_else(kind)? {
            match key.get_ref().as_ref() {
                "scope" => {
                    rule.scope = self.list::<ScopeItem>("scope", value)?;
                    has_scope = true;
                }
                "conditions" => rule.conditions = self.list("conditions", value)?,
                "expires" => rule.expires = self.when("expires", value)?,
                other => return Err(self.unknown(key, "a capability", hint(other, &KEYS))),
            }
        }
        match capability.describes_scope() {
            Some(what) if !has_scope => {
                Err(self.value(value, ValueError::NoScope { capability, what }, String::new()))
            }
            Some(_) | None => Ok(rule),
        }
    }

    fn resources(&self, request: &mut PermissionRequest, table: &DeTable<'_>) -> Result<(), RequestError> {
        const KEYS: [&str; 4] = ["memory", "storage", "network", "hosts"];
        let mut access = ResourceAccess { memory: MemoryAccess::Write, ..ResourceAccess::NONE };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "memory" => access.memory = self.parsed("memory", value)?,
                "storage" => access.storage = self.parsed("storage", value)?,
                "network" => access.network = self.parsed("network", value)?,
                "hosts" => request.hosts = self.list("hosts", value)?,
                other => return Err(self.unknown(key, "[resources]", hint(other, &KEYS))),
            }
        }
        request.resources = access;
        Ok(())
    }

    fn limits(&self, request: &mut PermissionRequest, table: &DeTable<'_>) -> Result<(), RequestError> {
        for (key, value) in table {
            let name: LimitName = key.get_ref().parse().map_err(|_| {
                self.unknown(key, "[limits]", hint(key.get_ref(), &LimitName::ALL.map(LimitName::as_str)))
            })?;
            let text = self.string(name.as_str(), value)?;
            name.parse(text)
                .and_then(|amount| request.limits.insert(name, amount))
                .map_err(|error| self.value(value, error, String::new()))?;
        }
        Ok(())
    }

    fn service(&self, value: &Value<'_>) -> Result<Service, RequestError> {
        const KEY: &str = "instances";
        let table = self.table("service", value)?;
        if let Some((key, _)) = table.iter().find(|(key, _)| key.get_ref() != KEY) {
            return Err(self.unknown(key, "[service]", hint(key.get_ref(), &[KEY])));
        }
        let (_, word) =
            table.iter().next().ok_or_else(|| self.kind(value, "service", "a table with `instances`"))?;
        let text = self.string(KEY, word)?;
        let named = Instances::ALL.into_iter().find(|instances| instances.as_str() == text);
        named.map(|instances| Service { instances }).ok_or_else(|| {
            let source = ValueError::Word { text: line::shown(text), expected: "resident, per-message" };
            self.value(word, source, hint(text, &Instances::ALL.map(Instances::as_str)))
        })
    }

    fn when(&self, key: &str, value: &Value<'_>) -> Result<When, RequestError> {
        let text = match value.get_ref() {
            DeValue::Datetime(date) => date.to_string(),
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => return Err(self.kind(value, key, "a text such as `\"30d\"`, or a date")),
        };
        When::parse(&text).map_err(|error| self.value(value, error, hint(&text, &["never"])))
    }

    fn list<T: FromStr<Err: Into<ValueError>>>(
        &self,
        key: &str,
        value: &Value<'_>,
    ) -> Result<Vec<T>, RequestError> {
        let kind = || self.kind(value, key, "a list of texts");
        value.get_ref().as_array().ok_or_else(kind)?.iter().map(|item| self.parsed(key, item)).collect()
    }

    fn parsed<T: FromStr<Err: Into<ValueError>>>(
        &self,
        key: &str,
        value: &Value<'_>,
    ) -> Result<T, RequestError> {
        self.string(key, value)?.parse().map_err(|error: T::Err| self.value(value, error, String::new()))
    }

    fn string<'v>(&self, key: &str, value: &'v Value<'_>) -> Result<&'v str, RequestError> {
        value.get_ref().as_str().ok_or_else(|| self.kind(value, key, "a text in quotes"))
    }

    fn table<'v, 'd>(&self, key: &str, value: &'v Value<'d>) -> Result<&'v DeTable<'d>, RequestError> {
        value.get_ref().as_table().ok_or_else(|| self.kind(value, key, "a table"))
    }

    fn unknown(
        &self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        table: &'static str,
        hint: String,
    ) -> RequestError {
        let (line, column) = self.place(key.span().start);
        RequestError::UnknownKey { line, column, key: line::shown(key.get_ref()), table, hint }
    }

    fn kind(&self, value: &Value<'_>, key: &str, expected: &'static str) -> RequestError {
        let (line, column) = self.place(value.span().start);
        RequestError::Kind { line, column, key: key.to_owned(), expected }
    }

    fn value(&self, value: &Value<'_>, source: impl Into<ValueError>, hint: String) -> RequestError {
        self.error_at(value.span().start, source.into(), hint)
    }

    fn error_at(&self, offset: usize, source: ValueError, hint: String) -> RequestError {
        let (line, column) = self.place(offset);
        RequestError::Value { line, column, source, hint }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

/// What was perhaps meant by a name that is no capability. TOML reads `crypto.sign` without quotes as a table `crypto`.
fn capability_hint(name: &str, value: &DeValue<'_>) -> String {
    let is_interface = Capability::ALL.into_iter().any(|capability| capability.interface() == name);
    match value.as_table().and_then(|table| table.keys().next()) {
        Some(operation) if is_interface => {
            format!("; write `\"{name}.{}\"` in quotes", line::shown(operation.get_ref()))
        }
        _ => hint(name, &Capability::ALL.map(Capability::as_str)),
    }
}
