//! The documents of a content: one with everything, and one of the published version.

use std::sync::Arc;

use super::components::Components;
use super::data::ContentData;
use super::dedicated::Dedicated;
use super::references::References;
use super::schema::{App, Schema};
use super::shapes::Shapes;
use super::state::{Content, PACKED, without_data};
use super::translation::Translation;
use crate::squidex::entity::{Common, parts};
use crate::squidex::shard;
use crate::squidex::value::members::Members;
use crate::{DocumentWriter, FoldError, Lookup, Sink};

/// Where contents find what their documents say about apps and schemas.
pub(super) struct Documents<'a> {
    pub(super) apps: &'a Shapes<App>,
    pub(super) schemas: &'a Shapes<Schema>,
    /// Number of collections that each target is divided into; 0 if they aren't.
    pub(super) shards: u32,
    pub(super) dedicated: &'a Dedicated,
    pub(super) others: &'a dyn Lookup,
}

impl Documents<'_> {
    /// Writes the documents of a content, if it exists.
    ///
    /// # Errors
    /// [`FoldError`] if Squidex couldn't write them either, or if the snapshot of an app or schema is broken.
    pub(super) fn write(&self, content: &Content, out: &mut Sink<'_>) -> Result<(), FoldError> {
        let Some(common) = content.entity.finished()? else { return Ok(()) };
        let schema_id = parts(content.schema_id().ok_or(FoldError::Missing("schemaId"))?);
        let place = Place::find(self, common.app_id(), schema_id.0)?;
        let (current, draft) = (content.current_data(), content.draft_data());
        // The targets of all contents come first, then those of the published ones.
        let all = shard::target_of(common.app_id(), self.shards);
        let published = all + self.shards.max(1) as usize;
        let document = Written { content, common: &common, schema_id };
        let editing = draft.as_ref().or(current.as_ref());
        let about_editing = About::of(editing, place.as_ref())?;
        let dedicated = self.dedicated.targets(common.app_id(), schema_id.0);
        for target in std::iter::once(all).chain(dedicated.map(|(all, _)| all)) {
            out.put(target, |writer| document.all(writer, editing, current.as_ref(), &about_editing))?;
        }
        if !content.is_published() {
            return Ok(());
        }
        let about_draft = draft.is_some();
        let about_current =
            if about_draft { Some(About::of(current.as_ref(), place.as_ref())?) } else { None };
        let about = about_current.as_ref().unwrap_or(&about_editing);
        for target in std::iter::once(published).chain(dedicated.map(|(_, published)| published)) {
            out.put(target, |writer| document.published(writer, current.as_ref(), about))?;
        }
        Ok(())
    }
}

/// The app and the schema of a content, neither of them deleted.
struct Place<'a> {
    app: Arc<App>,
    schema: Arc<Schema>,
    app_id: &'a str,
    from: &'a Documents<'a>,
}

impl<'a> Place<'a> {
    fn find(from: &'a Documents<'a>, app_id: &'a [u8], schema_id: &[u8]) -> Result<Option<Self>, FoldError> {
        let text = std::str::from_utf8;
        let (Ok(app_id), Ok(schema_id)) = (text(app_id), text(schema_id)) else { return Ok(None) };
        // Both are looked up, whether one of them is there or not: one that isn't loaded yet is asked for.
        let app = from.apps.find(app_id, from.others);
        let schema = from.schemas.find(&format!("{app_id}--{schema_id}"), from.others);
        Ok(app?.zip(schema?).map(|(app, schema)| Self { app, schema, app_id, from }))
    }
}

/// What a document says about its data.
#[derive(Default)]
struct About<'a> {
    references: References<'a>,
    translation: Option<Translation<'a>>,
}

impl<'a> About<'a> {
    fn of(data: Option<&'a ContentData<'_>>, place: Option<&'a Place<'_>>) -> Result<Self, FoldError> {
        let Some(Place { app, schema, app_id, from }) = place else { return Ok(Self::default()) };
        let data = Members(data.ok_or_else(without_data)?.elements());
        let mut components = Components::new(app_id, schema, from.schemas, from.others);
        Ok(Self {
            references: References::of(data.clone(), schema, &mut components)?,
            translation: Some(Translation::of(data, schema, app)),
        })
    }

    fn write_translation(&self, document: &mut DocumentWriter<'_>) {
        if let Some(translation) = &self.translation {
            translation.write(document, "ts");
        }
    }
}

/// A content that is written.
struct Written<'a> {
    content: &'a Content,
    common: &'a Common<'a, PACKED>,
    /// Id and name.
    schema_id: (&'a [u8], &'a [u8]),
}

impl Written<'_> {
    fn all(
        &self,
        document: &mut DocumentWriter<'_>,
        editing: Option<&ContentData<'_>>,
        current: Option<&ContentData<'_>>,
        about: &About<'_>,
    ) {
        let draft_status = self.content.draft_status();
        let scheduled = self.content.scheduled();
        self.begin(document, editing);
        if let Some(status) = draft_status {
            document.text("ns", status);
        }
        document.text("ss", self.content.status());
        if let Some(scheduled) = &scheduled {
            document.document("sj", |job| {
                job.text("_id", scheduled.id);
                job.text("Status", scheduled.status);
                job.text_or_null("ScheduledBy", scheduled.by);
                job.date_ms("DueTime", scheduled.due_ms);
            });
        }
        self.ids(document, about);
        if let Some(scheduled) = scheduled {
            document.date_ms("sa", scheduled.due_ms);
        }
        if let Some(current) = current.filter(|_| draft_status.is_some()) {
            current.write(document, "dd");
        }
        about.write_translation(document);
        document.bool("is", true);
    }

    fn published(
        &self,
        document: &mut DocumentWriter<'_>,
        current: Option<&ContentData<'_>>,
        about: &About<'_>,
    ) {
        self.begin(document, current);
        document.text("ss", self.content.status());
        self.ids(document, about);
        about.write_translation(document);
    }

    fn begin(&self, document: &mut DocumentWriter<'_>, data: Option<&ContentData<'_>>) {
        self.common.begin(document);
        document.document("si", |schema| {
            schema.text("_id", self.schema_id.0);
            schema.text("Name", self.schema_id.1);
        });
        if let Some(data) = data {
            data.write(document, "do");
        }
    }

    fn ids(&self, document: &mut DocumentWriter<'_>, about: &About<'_>) {
        self.common.end(document);
        document.text("_si", self.schema_id.0);
        about.references.write(document, "rf");
    }
}
