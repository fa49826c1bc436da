namespace ValueFlow.Core.Flows

open System
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// What is needed of a mixture of normal laws at each of T times (1, or one for each row): K components in d dimensions, row-major.
[<NoComparison; NoEquality>]
type internal Components =
    {
        Times: int
        LogWeights: float[]
        Dimension: int
        /// (T, K, d).
        Means: float[]
        /// (T, K, d, d).
        Covariances: float[]
    }

/// A linear quantity given the component: offset (T, K, d) + gain (T, K, d, d) C^-1 (x - mean).
[<NoComparison; NoEquality>]
type internal Affine = { Offset: float[]; Gain: float[] }

/// Bayes' rule for mixtures of normal laws, in float64, by Cholesky factors and log-sum-exp; differentiable in x. Call within a scope.
[<NoComparison; NoEquality>]
type internal Posterior =
    {
        Components: Components
        Rows: int64
        Type: torch.ScalarType
        /// log w_k + log N(x; m_k, C_k), (T, K, n) with T n rows.
        Logits: torch.Tensor
        /// C_k^-1 (x - m_k), (T K, d, n).
        Pull: torch.Tensor
    }

[<RequireQualifiedAccess>]
module internal Posterior =

    let private tensor (values: float[]) (shape: int64[]) : torch.Tensor = torch.tensor(values, dtype = torch.float64).reshape shape

    /// Throws unless x is (B, d).
    let requirePoints (dimension: int) (x: torch.Tensor) : unit =
        Shape.require "x" [ -1L; int64 dimension ] x
        TimeRows.requireBatch "x" x

    let private factor (covariances: torch.Tensor) (components: int) : torch.Tensor =
        let struct (factor, info) = torch.linalg.cholesky_ex (covariances, false)

        match (info.``to`` torch.int32).data<int>().ToArray() |> Array.tryFindIndex (fun code -> code <> 0) with
        | Some index ->
            invalidArg
                "t"
                $"the covariance of x_t must be positive definite but is singular in component {index % components} at time index {index / components}"
        | None -> factor

    /// The posterior over components at points x (B, d); T is 1 or B.
    let create (components: Components) (x: torch.Tensor) : Posterior =
        requirePoints components.Dimension x
        let d, k, times = int64 components.Dimension, int64 components.LogWeights.Length, int64 components.Times
        let each = if times = 1L then x.shape[0] else 1L
        let x64 = x.``to`` torch.float64

        let points =
            if times = 1L then
                x64.transpose(0L, 1L).reshape [| 1L; 1L; d; each |]
            else
                x64.reshape [| times; 1L; d; 1L |]

        let gap = (points.sub (tensor components.Means [| times; k; d; 1L |])).reshape [| times * k; d; each |]
        let lower = factor (tensor components.Covariances [| times * k; d; d |]) (int k)
        let white = torch.linalg.solve_triangular (lower, gap, false)
        let pull = torch.linalg.solve_triangular (lower.transpose (1L, 2L), white, true)
        let halfLogDeterminant = lower.diagonal(0L, 1L, 2L).log().sum(1L).unsqueeze 1L
        let quadratic = Elementwise.times -0.5 (white.Squared().sum 1L)
        let constants = components.LogWeights |> Array.map (fun w -> w - 0.5 * float d * log (2.0 * Math.PI))
        let density = (quadratic.sub halfLogDeterminant).reshape [| times; k; each |]

        {
            Components = components
            Rows = x.shape[0]
            Type = x.dtype
            Logits = density.Plus(tensor constants [| 1L; k; 1L |])
            Pull = pull
        }

    /// log p(x), (B).
    let logDensity (posterior: Posterior) : torch.Tensor = (posterior.Logits.logsumexp 1L).flatten().``to`` posterior.Type

    let private mean (posterior: Posterior) (values: torch.Tensor) : torch.Tensor =
        let shares = posterior.Logits.softmax(1L).unsqueeze 2L

        (values.mul shares).sum(1L).permute([| 0L; 2L; 1L |]).reshape([| posterior.Rows; int64 posterior.Components.Dimension |]).``to``
            posterior.Type

    let private byComponent (posterior: Posterior) (values: torch.Tensor) : torch.Tensor =
        let components = posterior.Components
        values.reshape [| int64 components.Times; int64 components.LogWeights.Length; int64 components.Dimension; -1L |]

    /// grad log p(x) = -sum_k P(k | x) C_k^-1 (x - m_k), (B, d).
    let score (posterior: Posterior) : torch.Tensor = mean posterior (byComponent posterior (posterior.Pull.neg ()))

    /// sum_k P(k | x) (offset_k + gain_k C_k^-1 (x - m_k)), (B, d).
    let expect (posterior: Posterior) (quantity: Affine) : torch.Tensor =
        let c = posterior.Components
        let d, k, times = int64 c.Dimension, int64 c.LogWeights.Length, int64 c.Times
        let gains = (tensor quantity.Gain [| times * k; d; d |]).bmm posterior.Pull
        mean posterior ((byComponent posterior gains).Plus(tensor quantity.Offset [| times; k; d; 1L |]))
