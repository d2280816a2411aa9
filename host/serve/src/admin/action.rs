//! The actions on a tenant.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::api;
use crate::{error::ActionError, state::State};

/// An action on a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Upgrade,
    Revoke,
    Suspend,
    Resume,
}

impl Action {
    pub(super) const ALL: [Self; 4] = [Self::Upgrade, Self::Revoke, Self::Suspend, Self::Resume];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Revoke => "revoke",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Upgrade => "The guest was upgraded to the component file, or opened if there was none.",
            Self::Revoke => "Every session was wiped.",
            Self::Suspend => "The guest is suspended: it is not asked any more until you resume it.",
            Self::Resume => "The guest is asked again.",
        }
    }

    /// Performs the action. It waits for locks on a thread that serves nobody else.
    pub(super) async fn perform(self, state: &Arc<State>, tenant: &str) -> Result<serde_json::Value, ActionError> {
        tracing::warn!(tenant, action = self.name(), "an operator acts");
        let proxy = &state.proxy;
        Ok(match self {
            Self::Upgrade => api::upgraded(&state.upgrade(tenant).await?),
            Self::Revoke => serde_json::json!({ "revoked": block_in_place(|| proxy.revoke(tenant))? }),
            Self::Suspend => {
                block_in_place(|| proxy.suspend(tenant))?;
                serde_json::json!({ "suspended": true })
            }
            Self::Resume => {
                block_in_place(|| proxy.resume(tenant))?;
                serde_json::json!({ "suspended": false })
            }
        })
    }
}
