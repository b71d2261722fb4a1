//! The type by which a version of the API refuses, and how reasons become it. Each version has its own words for its use
//! cases, so that each has a type of its own.

/// Defines `Refusal` and `Worded`. A version implements `Worded` for each reason.
macro_rules! refusal {
    () => {
        /// An answer that refuses.
        #[derive(Clone, Debug, ::thiserror::Error)]
        #[error("{_0}")]
        pub struct Refusal(pub $crate::web::exception::Exception);

        /// Lets handlers use `?`. `web::frame` turns the refusal into an answer.
        impl ::actix_web::ResponseError for Refusal {
            fn error_response(&self) -> ::actix_web::HttpResponse {
                ::actix_web::HttpResponse::InternalServerError().finish()
            }
        }

        /// A reason that has words.
        trait Worded {
            fn words(self) -> ($crate::web::codes::Code, String);
        }

        impl<R: Worded> From<R> for Refusal {
            fn from(reason: R) -> Self {
                Self($crate::web::exception::Exception::new(reason.words()))
            }
        }

        impl<R: Into<Self>> From<$crate::error::Denied<R>> for Refusal {
            fn from(denied: $crate::error::Denied<R>) -> Self {
                match denied {
                    $crate::error::Denied::Refused(reason) => reason.into(),
                    $crate::error::Denied::Failed(error) => error.into(),
                }
            }
        }

        impl From<$crate::error::Error> for Refusal {
            fn from(error: $crate::error::Error) -> Self {
                Self(error.into())
            }
        }

        impl From<$crate::web::refused::Refused> for Refusal {
            fn from(refused: $crate::web::refused::Refused) -> Self {
                Self(refused.into())
            }
        }

        impl From<$crate::web::refused::Unfit> for Refusal {
            fn from(unfit: $crate::web::refused::Unfit) -> Self {
                $crate::web::refused::Refused::from(unfit).into()
            }
        }
    };
}

pub(crate) use refusal;
