//! Members that are read while they are behind.

use std::time::Duration;

/// Time after which it is said what is waited for.
const SAID_AFTER: Duration = Duration::from_secs(5);

/// Waits for the first answer of a member that may be behind, and says so if that takes a while: it answers
/// when it has what was acknowledged when the build began.
pub(super) async fn said_if_late<T>(is_secondary: bool, answer: impl Future<Output = T>) -> T {
    tokio::pin!(answer);
    if !is_secondary {
        return answer.await;
    }
    if let Ok(answer) = tokio::time::timeout(SAID_AFTER, &mut answer).await {
        return answer;
    }
    tracing::warn!(
        "the member that is read doesn't have yet what was acknowledged when the build began; waiting for it"
    );
    answer.await
}
