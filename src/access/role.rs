//! What a role may see and do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What someone may see and do; each role may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Figures and rows.
    Viewer,
    /// Dead letters, and acknowledging alerts.
    Operator,
    /// Columns about staff, raw records, the audit table.
    Admin,
}

/// No role of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`; write viewer, operator or admin")]
pub struct NoRole(String);

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// What is closed to the role: tables, and columns as `column` or `table.column`. The bytes of a dead
    /// letter are a whole record, staff and all.
    pub fn closed(self) -> &'static [&'static str] {
        match self {
            Role::Viewer => &[
                "dead_letters",
                "audit",
                "operator_id",
                "events.user",
                "late.user",
                "center_status.user",
                "center_status.current_user",
            ],
            Role::Operator => &[
                "audit",
                "operator_id",
                "events.user",
                "late.user",
                "center_status.user",
                "center_status.current_user",
                "dead_letters.bytes",
            ],
            Role::Admin => &[],
        }
    }

    /// The least role to which a table or column, as in [`Role::closed`], is open.
    pub fn that_opens(name: &str) -> Role {
        let open = Role::ALL.into_iter().find(|role| !role.closed().contains(&name));
        open.unwrap_or(Role::Admin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Role, NoRole> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| NoRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_sees_more() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        assert_eq!(Role::that_opens("dead_letters"), Role::Operator);
        for staff in ["operator_id", "center_status.current_user", "events.user"] {
            assert_eq!(Role::that_opens(staff), Role::Admin);
        }
        assert_eq!(Role::that_opens("audit"), Role::Admin);
        assert_eq!(Role::that_opens("completions"), Role::Viewer);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
