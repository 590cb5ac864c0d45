//! ActorPacks: who the actors are that tags name, as GraphSense's YAML.
//!
//! Decides which actors can be used and why others cannot. Does not judge who they are.

use std::collections::HashSet;

use super::{
    address::shown,
    pack::{Fields, Header, PackError, Reading, Reject, included, map, words},
    taxonomy,
    yaml::{self, Node, Value},
};

/// Most actors of a pack.
const ACTORS_MAX: usize = 1_000_000;
/// Most jurisdictions or aliases of an actor.
const LIST_MAX: usize = 1_000;

/// Fields that only the header has.
const OF_HEADER: [&str; 6] = ["title", "creator", "description", "is_public", "actors", "header"];
/// Fields that an actor has, or the header for all of its actors.
const OF_ACTOR: [&str; 8] =
    ["id", "uri", "label", "lastmod", "categories", "jurisdictions", "aliases", "context"];

/// Somebody whom tags name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// What tags call him.
    pub id: String,
    /// Where to read about him.
    pub uri: String,
    /// His name.
    pub label: String,
    /// When this was last changed, as the pack has it.
    pub lastmod: String,
    /// Concepts of the taxonomy.
    pub categories: Vec<&'static str>,
    /// Countries, by two letters (ISO 3166-1).
    pub jurisdictions: Vec<String>,
    /// Other names.
    pub aliases: Vec<String>,
    /// More about him: JSON.
    pub context: Option<String>,
}

/// A pack of actors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActorPack {
    /// Its title.
    pub title: String,
    /// Who made it.
    pub creator: String,
    /// Actors that can be used.
    pub actors: Vec<Actor>,
    /// Actors that cannot.
    pub rejects: Vec<Reject>,
}

impl ActorPack {
    /// Reads a pack. `include` gives the text of a file that the header includes.
    ///
    /// # Errors
    /// What makes the whole file unusable; what makes an actor unusable is among the [rejects](ActorPack::rejects).
    pub fn parse(
        text: &str,
        include: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, PackError> {
        let root = yaml::read(text)?;
        let top = map(&root, "pack")?;
        let outside = included(top, include)?;
        let header = Header::of(&root, outside.iter().chain(top), "an actor pack", (&OF_HEADER, &OF_ACTOR))?;
        let (title, creator) = (header.required("title")?, header.required("creator")?);
        let (_, items) = header.items("actors", ACTORS_MAX)?;
        let inherited = header.inherited(&OF_ACTOR);
        let mut pack = Self { title, creator, actors: Vec::new(), rejects: Vec::new() };
        let mut seen = HashSet::new();
        for item in items {
            let unique = |actor: Actor| {
                let is_new = seen.insert(actor.id.clone());
                if is_new {
                    Ok(actor)
                } else {
                    Err(format!("id: {:?} stands here a second time", shown(&actor.id)))
                }
            };
            match actor(item, &inherited).and_then(unique) {
                Ok(actor) => pack.actors.push(actor),
                Err(reason) => pack.rejects.push(Reject { line: item.line, subject: named(item), reason }),
            }
        }
        Ok(pack)
    }
}

fn named(item: &Node) -> String {
    let Value::Map(fields) = &item.value else { return String::new() };
    let id = fields.iter().find(|(key, _)| key == "id").and_then(|(_, node)| words(node).ok());
    id.map_or_else(String::new, |id| shown(&id))
}

fn actor(item: &Node, inherited: &Fields<'_>) -> Result<Actor, String> {
    let reading = Reading::of(item, inherited, &OF_ACTOR, "an actor")?;
    let categories = reading.list("categories", ACTORS_MAX)?.ok_or("categories: is missing")?;
    let concept = |text: &String| {
        taxonomy::concept(text)
            .ok_or_else(|| format!("categories: {:?} is no concept of the taxonomy", shown(text)))
    };
    let jurisdictions = reading.list("jurisdictions", LIST_MAX)?.unwrap_or_default();
    let country = |text: &&String| text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_uppercase());
    if let Some(found) = jurisdictions.iter().find(country) {
        return Err(format!(
            "jurisdictions: {:?} is no country, want two capitals (ISO 3166-1)",
            shown(found)
        ));
    }
    let context = reading.text("context")?;
    if let Some(Err(error)) = context.as_deref().map(serde_json::from_str::<serde_json::Value>) {
        return Err(format!("context: is not JSON: {error}"));
    }
    Ok(Actor {
        id: reading.required("id")?,
        uri: reading.required("uri")?,
        label: reading.required("label")?,
        lastmod: reading.day("lastmod")?.ok_or("lastmod: is missing")?,
        categories: categories.iter().map(concept).collect::<Result<_, _>>()?,
        jurisdictions,
        aliases: reading.list("aliases", LIST_MAX)?.unwrap_or_default(),
        context,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "{id: zaif, uri: 'https://zaif.jp', label: Zaif, lastmod: 2023-01-01, categories: [exchange], \
                         jurisdictions: [JP], aliases: [Tech Bureau], context: '{}'}";

    fn parse(actors: &str) -> ActorPack {
        ActorPack::parse(&format!("title: t\ncreator: c\nactors:\n{actors}"), |_| Err(String::new())).unwrap()
    }

    #[test]
    fn actors_are_read_or_rejected_with_line_and_reason() {
        let check = |from: &str, to: &str, want: &str| {
            let pack =
                parse(&format!("- {WHOLE}\n- {}\n", WHOLE.replace("zaif,", "other,").replace(from, to)));
            assert_eq!((pack.actors.len(), pack.rejects[0].line), (1, 5), "{to}");
            assert!(pack.rejects[0].reason.contains(want), "{to}: {}", pack.rejects[0].reason);
        };
        let actor = parse(&format!("- {WHOLE}\n")).actors.pop().unwrap();
        assert_eq!((actor.id.as_str(), actor.categories.as_slice()), ("zaif", &["exchange"][..]));
        check("id: other,", "", "id: is missing");
        check("id: other", "id: zaif", "id: \"zaif\" stands here a second time");
        check("lastmod: 2023-01-01,", "", "lastmod: is missing");
        check("2023-01-01", "soon", "lastmod: is \"soon\"");
        check("[exchange]", "[bank]", "categories: \"bank\" is no concept");
        check("[exchange]", "exchange", "categories: is text, want a list");
        check("[JP]", "[Japan]", "jurisdictions: \"Japan\" is no country");
        check("'{}'", "x", "context: is not JSON");
        check("aliases", "other_names", "other_names: is no field of an actor");
        let error = ActorPack::parse("title: t\ncreator: c\n", |_| Err(String::new())).unwrap_err();
        assert!(error.to_string().contains("actors: is missing"));
    }
}
