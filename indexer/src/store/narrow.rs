//! The store as one principal sees it: indices and documents out of their reach are not there, and ingestion can only
//! add. Endpoints have no other way to the store, so none of them can forget to look.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::catalog::split;
use super::{
    Choice, Chosen, Condition, Defaults, Got, Index, Kind, PartitionView, Request, Store, View, Written, request,
};
use crate::access::{Principal, Reach, Role};
use crate::error::{Error, Result};
use crate::mapping::{EsType, Mapping, wildcard};
use crate::query::Query;
use crate::query::ast;

/// The field that says whose a document is.
const SERVICE: &str = "service.name";

/// See the top of the file. Everything that the store has and that is not here needs an admin (`access::rights`).
pub struct Narrow {
    store: Arc<Store>,
    who: Option<Principal>,
}

impl std::ops::Deref for Narrow {
    type Target = Arc<Store>;

    fn deref(&self) -> &Arc<Store> {
        &self.store
    }
}

impl Narrow {
    /// The store for somebody; without anybody nothing is in it.
    pub fn new(store: Arc<Store>, who: Option<Principal>) -> Self {
        Self { store, who }
    }

    /// The reach to keep to; `None` when all is to be seen.
    fn reach(&self) -> Option<&Reach> {
        self.who.as_ref().filter(|who| who.role == Role::Read && !who.reach.is_all()).map(|who| &who.reach)
    }

    fn sees_nothing(&self) -> bool {
        self.who.as_ref().is_none_or(|who| who.role == Role::Ingest)
    }

    fn sees(&self, name: &str) -> bool {
        let listed = |reach: &Reach| reach.indices.is_empty() || reach.indices.iter().any(|p| wildcard(p, name));
        !self.sees_nothing() && self.reach().is_none_or(listed)
    }

    /// See [`Store::resolve`]. A pattern leaves out what is out of reach; a name is refused.
    ///
    /// # Errors
    /// 403 for an index out of reach, 404 for a missing one, as `choice` says.
    pub fn resolve(&self, expression: &str, choice: Choice) -> Result<Vec<Arc<Index>>> {
        Ok(self.resolve_filtered(expression, choice)?.into_iter().map(|chosen| chosen.index).collect())
    }

    /// See [`Store::resolve_filtered`].
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_filtered(&self, expression: &str, choice: Choice) -> Result<Vec<Chosen>> {
        if self.reach().is_none_or(|reach| reach.indices.is_empty()) && !self.sees_nothing() {
            return self.store.resolve_filtered(expression, choice);
        }
        let seen = self.indices();
        for part in split(expression) {
            let part = part.trim();
            let pattern = part.is_empty() || part == "_all" || part.contains(['*', '<']) || part.starts_with('-');
            let known = self.sees(part) || seen.iter().any(|index| index.has_alias(part));
            if !pattern && !known && !choice.ignore_unavailable {
                return Err(self.out_of_reach(part));
            }
        }
        let mut found = self.store.resolve_filtered(expression, choice)?;
        found.retain(|chosen| self.sees(&chosen.index.name));
        Ok(found)
    }

    fn out_of_reach(&self, index: &str) -> Error {
        let (name, role) = self.who.as_ref().map_or(("", "none"), |who| (&who.name, who.role.name()));
        let reason = format!("user [{name}] with effective roles [{role}] may not see the index [{index}]");
        Error::new(403, "security_exception", reason)
    }

    /// See [`Store::indices`].
    pub fn indices(&self) -> Vec<Arc<Index>> {
        let mut all = self.store.indices();
        all.retain(|index| self.sees(&index.name));
        all
    }

    /// See [`Store::search_view`].
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn search_view(&self, expression: &str, choice: Choice) -> Result<View> {
        self.view_of(&self.resolve_filtered(expression, choice)?)
    }

    /// See [`Store::view`]: with only those documents that are within reach.
    ///
    /// # Errors
    /// Never at present.
    pub fn view(&self, indices: &[Arc<Index>]) -> Result<View> {
        self.narrowed(self.store.view(indices)?)
    }

    /// See [`Store::view_of`]: with only those documents that are within reach.
    ///
    /// # Errors
    /// Never at present.
    pub fn view_of(&self, chosen: &[Chosen]) -> Result<View> {
        self.narrowed(self.store.view_of(chosen)?)
    }

    fn narrowed(&self, mut view: View) -> Result<View> {
        view.parts.retain(|part| self.sees(&part.index_name));
        if let Some(reach) = self.reach().filter(|reach| !reach.services.is_empty()) {
            for part in &mut view.parts {
                part.only = Some(Arc::new(only(&part.mapping, &reach.services)));
            }
        }
        Ok(view)
    }

    /// See [`Store::get`].
    ///
    /// # Errors
    /// 500 when the index files are damaged.
    pub fn get(&self, index: &Arc<Index>, id: &str) -> Result<Option<Got>> {
        if !self.sees(&index.name) {
            return Ok(None);
        }
        let got = self.store.get(index, id)?;
        let Some(reach) = self.reach().filter(|reach| !reach.services.is_empty()) else { return Ok(got) };
        Ok(got.filter(|got| service_is_in(&got.source, &reach.services)))
    }

    /// See [`Store::bulk`]: whoever may only ingest can add documents, and neither replace nor delete them.
    ///
    /// # Errors
    /// 403 when there is more in the request; else as [`Store::bulk`].
    pub async fn bulk(&self, body: Bytes, defaults: Defaults) -> Result<Written> {
        let only_adds = self.who.as_ref().is_none_or(|who| who.role != Role::Admin);
        let parse = move |store: &Store, body: Bytes| -> Result<Request> {
            let request = request::bulk(body, &defaults, store)?;
            if only_adds && request.actions.iter().any(|action| !adds(action.kind, action.id.is_some())) {
                return Err(Error::new(
                    403,
                    "security_exception",
                    "the role [ingest] may only add documents: the action [create], or [index] without an [_id]",
                ));
            }
            Ok(request)
        };
        self.store.write_with(body, parse).await
    }

    /// See [`Store::single`].
    ///
    /// # Errors
    /// As [`Self::bulk`].
    pub async fn single(
        &self,
        body: Bytes,
        index: String,
        kind: Kind,
        id: Option<String>,
        routing: Option<String>,
        condition: Condition,
    ) -> Result<Written> {
        if self.who.as_ref().is_none_or(|who| who.role != Role::Admin) && !adds(kind, id.is_some()) {
            return Err(Error::new(403, "security_exception", "the role [ingest] may only add documents"));
        }
        self.store.single(body, index, kind, id, routing, condition).await
    }
}

fn adds(kind: Kind, has_id: bool) -> bool {
    kind == Kind::Create || kind == Kind::Index && !has_id
}

/// The query that finds the documents of some services. A field of words is no exact value: there its keyword is asked,
/// and without one nothing is found.
fn only(mapping: &Mapping, services: &[String]) -> Query {
    let keyword = format!("{SERVICE}.keyword");
    let exact = |name: &str| mapping.resolve(name).is_some_and(|field| field.es_type == EsType::Keyword);
    let Some(field) = [SERVICE, &keyword].into_iter().find(|name| exact(name)) else {
        return ast::Kind::MatchNone.into();
    };
    let one = |service: &String| -> Query {
        let (field, any_case) = (field.to_owned(), false);
        if service.contains('*') {
            // A reach knows `*` alone.
            let value = service.replace('\\', "\\\\").replace('?', "\\?");
            ast::Kind::Wildcard { field, value, any_case }.into()
        } else {
            ast::Kind::Term { field, value: service.clone().into(), any_case }.into()
        }
    };
    let should = services.iter().map(one).collect();
    ast::Kind::Bool(ast::Bool { should, ..ast::Bool::default() }).into()
}

fn service_is_in(source: &str, services: &[String]) -> bool {
    let Ok(source) = serde_json::from_str::<Value>(source) else { return false };
    let nested = source.get("service").and_then(|service| service.get("name"));
    let fits = |value: &Value| value.as_str().is_some_and(|name| services.iter().any(|p| wildcard(p, name)));
    match nested.or_else(|| source.get(SERVICE)) {
        Some(Value::Array(values)) => values.iter().any(fits),
        Some(value) => fits(value),
        None => false,
    }
}

impl PartitionView {
    /// The query that limits what is seen of this partition, planned; `None` when all is seen.
    ///
    /// # Errors
    /// Never for the queries that are made here.
    pub fn planned_only(
        &self,
        now: crate::time::Nanos,
    ) -> std::result::Result<Option<crate::query::plan::Planned>, crate::query::Refusal> {
        self.only.as_ref().map(|only| crate::query::plan::Planner::new(self, now).plan(only)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_service_is_found_nested_and_flat() {
        let services = ["web".to_owned(), "shop-*".to_owned()];
        for (source, seen) in [
            (r#"{"service":{"name":"web"}}"#, true),
            (r#"{"service.name":"shop-cart"}"#, true),
            (r#"{"service":{"name":["db","web"]}}"#, true),
            (r#"{"service":{"name":"webx"}}"#, false),
            (r#"{"message":"web"}"#, false),
            ("[]", false),
        ] {
            assert_eq!(service_is_in(source, &services), seen, "{source}");
        }
    }
}
