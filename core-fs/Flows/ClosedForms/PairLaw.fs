namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Dynamics

/// One component of a pair law: (x0, x1) jointly normal.
[<NoComparison; NoEquality>]
type internal NormalPair =
    {
        First: float[]
        Last: float[]
        /// Cov(x0), Cov(x1), Cov(x0, x1).
        FirstCovariance: float[,]
        LastCovariance: float[,]
        Cross: float[,]
    }

/// The joint law of the two ends of a transport: a mixture of jointly normal pairs (x0, x1). Everything about an interpolant between them has a closed form.
[<NoComparison; NoEquality>]
type PairLaw =
    internal
        {
            shares: float[]
            pairs: NormalPair[]
        }

    /// The number of coordinates of one end.
    member this.Dimension = this.pairs[0].First.Length

/// Closed forms of interpolants whose ends are mixtures of normal laws: the marginal law at every time, its density, and all targets as fields.
/// With the moments of component k, m_t = alpha m0 + beta m1 and C_t = alpha^2 C0 + alpha beta (C01 + C01') + beta^2 C1 + gamma^2 I, the mean of a linear form
/// given x_t = x is its mean plus its covariance with x_t times C_t^-1 (x - m_t); a mixture weighs components by their posterior probabilities.
[<RequireQualifiedAccess>]
module PairLaw =

    let private zero (d: int) = Array2D.zeroCreate<float> d d

    /// x0 and x1 independent: every component of one with every component of the other.
    let independent (first: MixtureLaw) (last: MixtureLaw) : PairLaw =
        Shape.requireLength (nameof last) first.Dimension last.Dimension

        let pairs =
            [|
                for w0, p0 in Array.zip first.weights first.parts do
                    for w1, p1 in Array.zip last.weights last.parts do
                        w0 * w1,
                        {
                            First = p0.mean
                            Last = p1.mean
                            FirstCovariance = p0.covariance
                            LastCovariance = p1.covariance
                            Cross = zero first.Dimension
                        }
            |]

        let struct (shares, parts) = MixtureLaw.normalise (Array.map fst pairs) (Array.map snd pairs)
        { shares = shares; pairs = parts }

    /// (x0, x1) jointly normal with Cov(x0, x1) = cross; the joint covariance (2 d, 2 d) must be positive semi-definite.
    let joint (first: GaussianLaw) (last: GaussianLaw) (cross: float[,]) : PairLaw =
        let d = first.Dimension
        Shape.requireLength (nameof last) d last.Dimension

        if Array2D.length1 cross <> d || Array2D.length2 cross <> d then
            invalidArg (nameof cross) $"shape must be [{d}, {d}] but is [{Array2D.length1 cross}, {Array2D.length2 cross}]"

        Covariance.require (nameof cross) (2 * d)
        <| Array2D.init (2 * d) (2 * d) (fun i j ->
            match i < d, j < d with
            | true, true -> first.covariance[i, j]
            | false, false -> last.covariance[i - d, j - d]
            | true, false -> cross[i, j - d]
            | false, true -> cross[j, i - d])

        {
            shares = [| 1.0 |]
            pairs =
                [|
                    {
                        First = first.mean
                        Last = last.mean
                        FirstCovariance = first.covariance
                        LastCovariance = last.covariance
                        Cross = Array2D.copy cross
                    }
                |]
        }

    /// A mixture of pair laws; weights are normalised.
    let mixture (weights: float[]) (laws: PairLaw[]) : PairLaw =
        let struct (shares, kept) = MixtureLaw.normalise weights laws
        kept |> Array.iteri (fun k law -> Shape.requireLength $"laws[{k}]" kept[0].Dimension law.Dimension)

        {
            shares =
                Array.map2 (fun (w: float) law -> law.shares |> Array.map (fun share -> w * share)) shares kept
                |> Array.concat
            pairs = kept |> Array.collect _.pairs
        }

    let private requireGaussianEnd (interpolant: Interpolant) (law: PairLaw) : unit =
        let isStandard (mean: float[]) (covariance: float[,]) =
            Array.forall (fun m -> m = 0.0) mean
            && Seq.forall
                id
                (seq {
                    for i in 0 .. mean.Length - 1 do
                        for j in 0 .. mean.Length - 1 -> covariance[i, j] = (if i = j then 1.0 else 0.0)
                })

        let uncorrelated (pair: NormalPair) = pair.Cross |> Seq.cast<float> |> Seq.forall (fun c -> c = 0.0)

        match interpolant.Gaussian with
        | GaussianEnd.Start when not (law.pairs |> Array.forall (fun p -> uncorrelated p && isStandard p.First p.FirstCovariance)) ->
            invalidArg (nameof law) $"x0 must be N(0, I) and independent of x1 because the interpolant is {interpolant.Name}"
        | GaussianEnd.Finish when not (law.pairs |> Array.forall (fun p -> uncorrelated p && isStandard p.Last p.LastCovariance)) ->
            invalidArg (nameof law) $"x1 must be N(0, I) and independent of x0 because the interpolant is {interpolant.Name}"
        | _ -> ()

    let private meanAt (n: Coefficients) (pair: NormalPair) : float[] =
        Array.map2 (fun first last -> n.Alpha * first + n.Beta * last) pair.First pair.Last

    let private covarianceAt (n: Coefficients) (pair: NormalPair) : float[,] =
        Array2D.init pair.First.Length pair.First.Length (fun i j ->
            n.Alpha * n.Alpha * pair.FirstCovariance[i, j]
            + n.Alpha * n.Beta * (pair.Cross[i, j] + pair.Cross[j, i])
            + n.Beta * n.Beta * pair.LastCovariance[i, j]
            + (if i = j then n.Gamma * n.Gamma else 0.0))

    /// The law of x_t at a time in [0, 1]: a mixture of normal laws, to sample, to evaluate, to compare.
    let marginal (interpolant: Interpolant) (law: PairLaw) (t: float) : MixtureLaw =
        requireGaussianEnd interpolant law
        let numbers = Interpolant.at interpolant t

        law.pairs
        |> Array.map (fun pair -> GaussianLaw.create (meanAt numbers pair) (covarianceAt numbers pair))
        |> MixtureLaw.create law.shares

    /// count pairs (x0, x1), each (count, d) in float64, the same on every machine.
    let sample (generator: Generator) (law: PairLaw) (count: int) : struct (torch.Tensor * torch.Tensor) =
        if count < 1 then
            invalidArg (nameof count) $"must be positive but is {count}"

        let d = law.Dimension

        let roots =
            law.pairs
            |> Array.map (fun pair ->
                Covariance.root (
                    Array2D.init (2 * d) (2 * d) (fun i j ->
                        match i < d, j < d with
                        | true, true -> pair.FirstCovariance[i, j]
                        | false, false -> pair.LastCovariance[i - d, j - d]
                        | true, false -> pair.Cross[i, j - d]
                        | false, true -> pair.Cross[j, i - d])
                ))

        let rows =
            Array.init count (fun _ ->
                let k = Sampling.index generator (System.ReadOnlySpan law.shares)
                Covariance.draw generator (Array.append law.pairs[k].First law.pairs[k].Last) roots[k])

        let part (from: int) =
            Lifetime.keep (fun () ->
                torch.tensor(rows |> Array.collect (fun row -> Array.sub row from d), dtype = torch.float64).reshape
                    [| int64 count; int64 d |])

        struct (part 0, part d)

    let private componentsAt (law: PairLaw) (numbers: Coefficients[]) : Components =
        {
            Times = numbers.Length
            LogWeights = law.shares |> Array.map log
            Dimension = law.Dimension
            Means = numbers |> Array.collect (fun n -> law.pairs |> Array.collect (meanAt n))
            Covariances =
                numbers
                |> Array.collect (fun n -> law.pairs |> Array.collect (fun p -> covarianceAt n p |> Seq.cast<float> |> Array.ofSeq))
        }

    // The form a x0 + b x1 + c z, where c gamma is given apart because gamma' gamma is finite where gamma' is not.
    let private affine (law: PairLaw) (numbers: Coefficients[]) (forms: struct (float * float * float)[]) : Affine =
        let each (work: Coefficients -> struct (float * float * float) -> NormalPair -> float[]) =
            Array.map2 (fun n form -> law.pairs |> Array.collect (work n form)) numbers forms |> Array.concat

        {
            Offset = each (fun _ (struct (a, b, _)) pair -> Array.map2 (fun first last -> a * first + b * last) pair.First pair.Last)
            Gain =
                each (fun n (struct (a, b, noise)) pair ->
                    Array.init (law.Dimension * law.Dimension) (fun index ->
                        let i, j = index / law.Dimension, index % law.Dimension

                        a * (n.Alpha * pair.FirstCovariance[i, j] + n.Beta * pair.Cross[i, j])
                        + b * (n.Alpha * pair.Cross[j, i] + n.Beta * pair.LastCovariance[i, j])
                        + (if i = j then noise else 0.0)))
        }

    let private forms
        (interpolant: Interpolant)
        (times: float[])
        (numbers: Coefficients[])
        (target: Target)
        : struct (float * float * float)[] =
        match target with
        | Target.ActionGradient when interpolant.Gaussian = GaussianEnd.Neither -> Target.orThrow (Error TargetRefusal.NotAGradient)
        | Target.Velocity
        | Target.ActionGradient ->
            TimeRows.requireFinite "alpha'" times (numbers |> Array.map _.AlphaRate)
            TimeRows.requireFinite "beta'" times (numbers |> Array.map _.BetaRate)
            TimeRows.requireFinite "gamma gamma'" times (numbers |> Array.map _.GammaProduct)
            numbers |> Array.map (fun n -> struct (n.AlphaRate, n.BetaRate, n.GammaProduct))
        | _ ->
            Target.forms interpolant times numbers target
            |> Target.orThrow
            |> Array.map2 (fun n (f: Form) -> struct (f.Start, f.Finish, n.Gamma * f.Noise)) numbers

    let private evaluate (interpolant: Interpolant) (law: PairLaw) (t: torch.Tensor) (x: torch.Tensor) : struct (float[] * Coefficients[]) =
        requireGaussianEnd interpolant law
        Posterior.requirePoints law.Dimension x
        let times = TimeRows.read x t
        struct (times, times |> Array.map (Interpolant.at interpolant))

    /// log p_t(x), (B), for t one number or (B) and x (B, d); differentiable in x. Throws an ArgumentException where a component of the law of x_t is singular.
    let logDensity (interpolant: Interpolant) (law: PairLaw) (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let struct (_, numbers) = evaluate interpolant law t x
        Lifetime.keep (fun () -> Posterior.create (componentsAt law numbers) x |> Posterior.logDensity)

    /// The target as a field, exact, differentiable in x, computed in float64. Velocities include the ends 0 and 1, because gamma gamma' is finite there; the
    /// score exists wherever the law of x_t has a density. Throws an ArgumentException where the target is singular or refused.
    let field (interpolant: Interpolant) (law: PairLaw) (target: Target) : Field =
        requireGaussianEnd interpolant law

        Field.create $"{target} of {interpolant.Name}" (fun t x ->
            let struct (times, numbers) = evaluate interpolant law t x

            match target with
            | Target.Score -> Lifetime.keep (fun () -> Posterior.create (componentsAt law numbers) x |> Posterior.score)
            | _ ->
                let quantity = affine law numbers (forms interpolant times numbers target)
                Lifetime.keep (fun () -> Posterior.expect (Posterior.create (componentsAt law numbers) x) quantity))
