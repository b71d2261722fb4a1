//! The catalogue of error codes, one for all API versions: each has a page, to which answers lead.

use super::form::LARGEST_BODY;
use crate::accounts::families::{MOST_EVER, MOST_SUB_ACCOUNTS};
use crate::accounts::keys::MOST_KEYS;
use crate::purchases::KEY_HOURS;
use crate::values::page::LARGEST_SIZE;
use crate::values::text::{CallbackUrl, FriendlyName};

const LARGEST_KIB: usize = LARGEST_BODY / 1024;
const LONGEST_NAME: usize = FriendlyName::LONGEST;
const LONGEST_URL: usize = CallbackUrl::LONGEST;

macro_rules! catalogue {
    ($($code:ident = $number:literal, $status:literal, $title:literal, $cause:literal, $remedy:literal;)*) => {
        /// The code of an error, which settles its HTTP status. Twilio's numbers where one fits, 29xxx are ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($code = $number),* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$code),*];

            pub const fn status(self) -> u16 {
                match self { $(Self::$code => $status),* }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title),* }
            }

            pub fn cause(self) -> String {
                match self { $(Self::$code => format!($cause)),* }
            }

            pub fn remedy(self) -> String {
                match self { $(Self::$code => format!($remedy)),* }
            }
        }
    };
}

catalogue! {
    FriendlyName = 20002, 400, "Invalid FriendlyName",
        "The FriendlyName is longer than {LONGEST_NAME} characters or holds a control character.",
        "Send at most {LONGEST_NAME} characters of text. An empty FriendlyName gives a number its default name.";
    Authenticate = 20003, 401, "Authenticate",
        "The request has no credentials, or they are unreadable or wrong, or the account is closed.",
        "Send HTTP Basic credentials: the AccountSid as user name, the AuthToken as password. API version 2010-04-01 also takes the Sid of an API key and its secret.";
    MethodNotAllowed = 20004, 405, "Method not allowed",
        "The resource exists, but not for this HTTP method.",
        "Use one of the methods that the Allow header of the answer lists.";
    AccountNotActive = 20005, 403, "Account not active",
        "The account is suspended, or a closed sub-account of yours: numbers can be read and released, but not bought or updated.",
        "Ask who suspended it, the owner of a sub-account or the operator. Where a monthly fee was not paid, a credit that covers what is due does so.";
    NotAllowed = 20006, 403, "Not allowed with these credentials",
        "A sub-account tried what only the account that owns it may do. Or a standard API key tried to manage accounts or keys, or any API key to give a number to another account.",
        "Send the AccountSid and the AuthToken of the account, or of the main account that owns it.";
    PageSize = 20007, 400, "Page size out of range",
        "The page size (num or PageSize) is not a whole number from 1 to {LARGEST_SIZE}.",
        "Ask for 1 to {LARGEST_SIZE} numbers a page and follow nextpageuri for the rest.";
    NotFound = 20404, 404, "Resource not found",
        "There is no such resource in this account.",
        "Check the path, letter for letter: paths and Sids are case-sensitive.";
    TooManyRequests = 20429, 429, "Too many requests",
        "More credentials wait to be verified than this server verifies at once, or too many wrong ones came from your address, or the account sends more requests than one may, or has more of them under way or more answers unread.",
        "Wait as long as the Retry-After header says, then try again.";
    Internal = 20500, 500, "Internal server error",
        "Something went wrong inside the server.",
        "Look whether the request took effect before you try again; if it stays, tell the operator when it happened.";
    Unavailable = 20503, 503, "Service unavailable",
        "The server cannot reach its database just now, or others keep it too busy for this request.",
        "Try again after what the Retry-After header says; send an Idempotency-Key with purchases, so that a retry buys nothing twice.";
    Url = 21402, 400, "Invalid URL",
        "A callback URL is not an absolute http or https URL with a host, is longer than {LONGEST_URL} characters, or has invisible characters in its host.",
        "Send a URL such as http://example.com/handle, or an empty value to clear it.";
    Method = 21403, 400, "Invalid method",
        "A callback's method is neither GET nor POST.",
        "Send GET or POST.";
    VoiceFallback = 21405, 400, "VoiceFallbackUrl without Url",
        "A VoiceFallbackUrl needs a Url, and after this request there would be none.",
        "Set Url too, or clear VoiceFallbackUrl in the same request.";
    SmsFallback = 21406, 400, "SmsFallbackUrl without SmsUrl",
        "An SmsFallbackUrl needs an SmsUrl, and after this request there would be none.",
        "Set SmsUrl too, or clear SmsFallbackUrl in the same request.";
    SmsOnTollFree = 21407, 400, "No SMS on a toll-free number",
        "Earlier versions of this server refused Sms parameters on a toll-free number.",
        "Nothing is to be done: they are checked and kept like all others. API version 2008-08-01 does not show them.";
    ApplicationSid = 21420, 400, "Invalid ApplicationSid",
        "A VoiceApplicationSid or an SmsApplicationSid is not a Sid of an application.",
        "Send AP and 32 hexadecimal digits, or an empty value to clear it.";
    NotANumber = 21421, 400, "Invalid PhoneNumber",
        "A purchase has a PhoneNumber that is none, or neither a PhoneNumber nor an AreaCode.",
        "Send a US phone number such as +14158675309, or an AreaCode.";
    NotOnSale = 21422, 400, "PhoneNumber not on sale",
        "The number that a purchase asks for is not in stock, or is held, or in quarantine after its last holder, or withdrawn.",
        "Search AvailablePhoneNumbers and buy one of these. After a purchase whose answer was lost, look in the list of your numbers first.";
    AreaCode = 21451, 400, "Invalid area code",
        "The AreaCode is not three digits or no US area code.",
        "Send a US area code such as 415. In API version 2008-08-01, leave AreaCode out for a number from anywhere.";
    NoNumber = 21452, 400, "No phone number found",
        "There is no number left that matches the request.",
        "Try another area code. In API version 2008-08-01, toll-free codes are sold by TollFree, all others by Local.";
    AreaCodeOfKind = 21457, 400, "AreaCode not allowed here",
        "A purchase by Local or TollFree has an AreaCode.",
        "Send a PhoneNumber there, or the AreaCode to IncomingPhoneNumbers.";
    OtherKind = 21458, 400, "PhoneNumber of another kind",
        "The number is not of the kind that the path sells. No mobile numbers are sold.",
        "Send local numbers to Local, toll-free ones to TollFree, or any to IncomingPhoneNumbers.";
    NotASid = 21470, 400, "Invalid AccountSid",
        "The AccountSid of the account that is to hold the number is not a Sid.",
        "Send AC and 32 hexadecimal digits, or leave AccountSid out.";
    TakerNotActive = 21472, 400, "Account to transfer to is not active",
        "The account that is to hold the number is suspended or closed.",
        "Make it active first, or choose another account.";
    NoSuchAccount = 21473, 400, "No such account to transfer to",
        "There is no account with this Sid to which the number can go.",
        "Send the Sid of an account of yours.";
    TransferByOwner = 21474, 400, "Transfer by a sub-account",
        "A sub-account tried to give a number to another account.",
        "Send the credentials of the main account, on the path of the sub-account.";
    Status = 21475, 400, "Invalid account status",
        "The Status is not active, suspended or closed.",
        "Send one of these.";
    OwnerNotActive = 21476, 400, "Main account not active",
        "The status of a sub-account is changed by a main account that is suspended.",
        "Ask the operator to activate the main account.";
    OwnStatus = 21477, 400, "Status of a main account",
        "The request would change the status of a main account, which only the operator can.",
        "Ask the operator.";
    SuspendedByOperator = 21478, 400, "Suspended by the operator",
        "The operator has suspended the sub-account, and only the operator can activate it.",
        "Ask the operator.";
    AccountClosed = 21479, 400, "Account is closed",
        "The sub-account is closed, which is for ever.",
        "Create another one.";
    TooManySubAccounts = 21480, 400, "Too many sub-accounts",
        "The account owns as many open sub-accounts as one may, {MOST_SUB_ACCOUNTS}, or has created as many as one may ever, {MOST_EVER}.",
        "Close some that are not needed. Closed ones count for ever among those created: use an open one again, or ask the operator for another main account.";
    PageToken = 21481, 400, "Invalid PageToken",
        "The PageToken is none that this server made, or is that of a list of another account.",
        "Follow next_page_uri and previous_page_uri as they are.";
    InsufficientBalance = 29001, 402, "Insufficient balance",
        "The account's balance is less than the first month's price of the number.",
        "Ask the operator to credit the account.";
    InvalidParameter = 29002, 400, "Invalid parameter",
        "A parameter's value is not one of those that it takes; or a purchase or an update came with a parameter in the query of the URL, with a name in another spelling, or with a name of a later API version.",
        "The message names the parameter and says what would be right.";
    RepeatedParameter = 29003, 400, "Repeated parameter",
        "A parameter was sent more than once.",
        "Send each parameter once.";
    Unreadable = 29004, 400, "Unreadable request",
        "The request has a broken percent-encoding, text that is not UTF-8, a NUL character, or a line feed in its form; or its body did not arrive in time.",
        "Encode parameters as application/x-www-form-urlencoded in UTF-8, without a line feed at the end, and send the body at once.";
    IdempotencyKey = 29005, 409, "Idempotency key used for another request",
        "This idempotency key came with a different request within the last {KEY_HOURS} hours.",
        "Use a new key for each new purchase, and the same key only to repeat the same request.";
    BodyTooLarge = 29006, 413, "Request body too large",
        "The body of the request is larger than {LARGEST_KIB} KiB.",
        "Send the parameters of one number only.";
    ContentType = 29007, 415, "Unsupported content type",
        "The body is not a form, or it is compressed.",
        "Send Content-Type: application/x-www-form-urlencoded, or none, and no Content-Encoding.";
    TooManyKeys = 29008, 400, "Too many API keys",
        "The account has as many API keys as one may, {MOST_KEYS}.",
        "Delete one that is not needed.";
    AsAccount = 29010, 400, "Authenticate as the account itself",
        "A call or message was to be simulated with the control token, with the credentials of a parent account, or with an API key. Requests to the program are signed with the account's own AuthToken, of which only a hash is stored.",
        "Send the AccountSid of the path and its AuthToken as HTTP Basic credentials.";
    TooManyRuns = 29011, 429, "Limit of simulations",
        "As many calls and messages are being simulated as may be at a time, of the account or of the world; or one of them took too many documents or verbs, or too much time.",
        "Wait until one of them has ended. A program that redirects without end never ends one.";
}

impl Code {
    pub const fn number(self) -> u16 {
        self as u16
    }

    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_number_once() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
            assert!((400..600).contains(&code.status()), "{code:?}");
        }
        assert_eq!(Code::from_number(0), None);
    }
}
