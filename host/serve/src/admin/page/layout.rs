//! The frame of every page.

use maud::{DOCTYPE, Markup, html};

use crate::admin::pieces::Level;

/// The frame of every page.
pub(super) struct Layout<'a> {
    pub(super) title: &'a str,
    /// The health of the page's subject.
    pub(super) level: Level,
    /// The address to fetch the page again, if it is another: an answer to a form has the form's address.
    pub(super) from: Option<&'a str>,
    pub(super) search: &'a str,
}

impl Layout<'_> {
    pub(super) fn around(&self, main: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Innkeeper" }
                    link rel="stylesheet" href="/style.css";
                    link #icon rel="icon" href=(self.level.icon());
                    script src="/page.js" defer {}
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    header {
                        div.bar {
                            a.home href="/" { (mark()) "Innkeeper" }
                            (search(self.search))
                            // The script shows it, and tells in it if the page is up to date.
                            span #pulse hidden {}
                        }
                    }
                    main #main tabindex="-1" data-from=[self.from] {
                        p #stale.said.failed role="alert" hidden {}
                        (main)
                    }
                    footer {
                        span { "Innkeeper " (env!("CARGO_PKG_VERSION")) }
                        nav aria-label="For programs" {
                            a href="/metrics" { "Metrics" }
                            a href="/api/tenants" { "JSON" }
                        }
                    }
                }
            }
        }
    }
}

/// The mark: a room key.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" {
            circle cx="8" cy="8" r="5" {}
            path d="M11.6 11.6 20 20M16 16l2.5-2.5M19 19l2-2" {}
        }
    }
}

fn search(search: &str) -> Markup {
    html! {
        form.search method="get" action="/" role="search" {
            label.unseen for="q" { "Find a tenant" }
            input #q name="q" type="search" value=(search) placeholder="Tenant or server name" autocomplete="off"
                autocapitalize="none" spellcheck="false";
            button type="submit" { "Find" }
        }
    }
}
