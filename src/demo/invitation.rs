//! The invitations of the test mode: one for each way in which a link may work or not.

use alloc::string::String;

use crate::language::Text;
use crate::url::Url;

/// An invitation that somebody may have got.
#[derive(Debug)]
pub struct TestInvitation {
    /// Its name: letters only.
    pub name: &'static str,
    /// What comes of it.
    pub text: Text,
    pub(crate) fate: Fate,
}

/// What becomes of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// All goes well.
    Fresh,
    /// JHE is busy when records come.
    Busy,
    /// JHE's session ends while records are copied.
    SignedOut,
    /// JHE does not work.
    Down,
    /// It was used before.
    Used,
    /// It is too old.
    Expired,
    /// It was taken back.
    Cancelled,
    /// JHE never gave it.
    Unknown,
    /// The patient has no login at JHE.
    NoLogin,
    /// The link leads to another host's page.
    OtherHost,
    /// Its end is missing.
    Damaged,
}

/// All of them.
pub const INVITATIONS: [TestInvitation; 11] = [
    invitation("Fresh", Text::DemoLinkFresh, Fate::Fresh),
    invitation("Busy", Text::DemoLinkBusy, Fate::Busy),
    invitation("SignedOut", Text::DemoLinkSignedOut, Fate::SignedOut),
    invitation("Used", Text::DemoLinkUsed, Fate::Used),
    invitation("Expired", Text::DemoLinkExpired, Fate::Expired),
    invitation("Cancelled", Text::DemoLinkCancelled, Fate::Cancelled),
    invitation("Unknown", Text::DemoLinkUnknown, Fate::Unknown),
    invitation("NoLogin", Text::DemoLinkNoLogin, Fate::NoLogin),
    invitation("Down", Text::DemoLinkDown, Fate::Down),
    invitation("OtherHost", Text::DemoLinkOtherHost, Fate::OtherHost),
    invitation("Damaged", Text::DemoLinkDamaged, Fate::Damaged),
];

const fn invitation(name: &'static str, text: Text, fate: Fate) -> TestInvitation {
    TestInvitation { name, text, fate }
}

/// JHE's tokens have as many signs.
const LENGTH: usize = 32;
/// Whose host an invitation names that is not for this page.
const OTHER_HOST: &str = "other.study.invalid";

impl TestInvitation {
    /// Its token.
    pub fn token(&self) -> String {
        let mut token = String::from(self.name);
        while token.len() < LENGTH {
            token.push('0');
        }
        token
    }

    /// The link that a participant would get, to the connect page beside `page`.
    pub fn link(&self, page: &Url) -> String {
        let host = match self.fate {
            Fate::OtherHost => OTHER_HOST,
            _ => page.host(),
        };
        let mut code = [host, "_", &self.token()].concat();
        if self.fate == Fate::Damaged {
            code.truncate(code.len().saturating_sub(LENGTH / 2));
        }
        let connect = page.join("connect.html");
        connect.map_or(String::new(), |connect| {
            connect.with_parameters(&[("code", &code)])
        })
    }

    /// The invitation with this token.
    pub(crate) fn with_token(token: &str) -> Option<&'static TestInvitation> {
        INVITATIONS
            .iter()
            .find(|invitation| invitation.token() == token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::invitation::{Invitation, InvitationError};

    #[test]
    fn each_link_is_what_it_says_to_the_page_that_it_leads_to() {
        let page = Url::parse("http://localhost:8000/demo/index.html").unwrap();
        for invitation in &INVITATIONS {
            let link = Url::parse(&invitation.link(&page)).unwrap();
            assert_eq!(link.path(), "/demo/connect.html");
            let read = Invitation::parse(link.query(), page.host());
            match invitation.fate {
                Fate::OtherHost => assert!(matches!(read, Err(InvitationError::OtherHost { .. }))),
                Fate::Damaged => assert!(matches!(read, Err(InvitationError::Malformed))),
                _ => assert!(read.is_ok(), "{}", invitation.name),
            }
        }
    }
}
