namespace ValueFlow.Core.Values

open System
open MathNet.Numerics.LinearAlgebra
open ValueFlow.Core.Foundations

/// A law that was tilted to have given moments.
type Tilted =
    {
        /// The law.
        Law: float[]
        /// For each feature its multiplier.
        Multipliers: float[]
        /// The largest |E_q phi_i - psi_i| that is left, after features were brought to mean zero and length one.
        Residual: float
    }

/// Features of outcomes, centred and replaced by an orthonormal basis of what they span: collinear ones make no trouble, and directions below 1e-10 of the largest are
/// dropped.
[<Sealed>]
type internal FeatureBasis(features: float[][]) =

    let count = if features.Length = 0 then 0 else features[0].Length
    let means = features |> Array.map Array.average

    let rotation, directions =
        if features.Length = 0 then
            Array2D.zeroCreate 0 0, [||]
        else
            let centred = Matrix<float>.Build.Dense(count, features.Length, fun x i -> features[i].[x] - means[i])
            let decomposition = centred.Svd true
            let values = decomposition.S

            let kept =
                [|
                    for k in 0 .. values.Count - 1 do
                        if values[k] > 1e-10 * values[0] then
                            k
                |]
            // Columns of U, and the map that takes moments of features to theirs: V / sigma.
            Array2D.init kept.Length features.Length (fun k i -> decomposition.VT[kept[k], i] / values[kept[k]]),
            kept |> Array.map (fun k -> (decomposition.U.Column k).ToArray())

    /// The directions, each a function of outcomes.
    member _.Directions: float[][] = directions

    /// What the moments of the features say of the directions.
    member _.Moments(moments: float[]) : float[] =
        Array.init directions.Length (fun k ->
            let mutable sum = 0.0

            for i in 0 .. moments.Length - 1 do
                sum <- sum + rotation[k, i] * (moments[i] - means[i])

            sum)

    /// Multipliers of the features from those of the directions.
    member _.Multipliers(ofDirections: float[]) : float[] =
        Array.init features.Length (fun i ->
            let mutable sum = 0.0

            for k in 0 .. directions.Length - 1 do
                sum <- sum + rotation[k, i] * ofDirections[k]

            sum)

/// The law nearest to another one, in relative entropy, among those with given moments.
/// Jaynes 1957, "Information theory and statistical mechanics"; Csiszar 1975, "I-divergence geometry of probability distributions and minimization problems".
[<RequireQualifiedAccess>]
module MaximumEntropy =

    let private ridge = 1e-10

    // log sum p exp(l . phi) - l . psi + ridge |l|^2 / 2, and the law.
    let private dual (prior: float[]) (directions: float[][]) (moments: float[]) (multipliers: float[]) (law: float[]) =
        let mutable largest = Double.NegativeInfinity

        for x in 0 .. prior.Length - 1 do
            if prior[x] > 0.0 then
                let mutable exponent = 0.0

                for k in 0 .. directions.Length - 1 do
                    exponent <- exponent + multipliers[k] * directions[k].[x]

                law[x] <- exponent
                largest <- Math.Max(largest, exponent)

        let mutable sum = 0.0

        for x in 0 .. prior.Length - 1 do
            law[x] <- if prior[x] > 0.0 then prior[x] * exp (law[x] - largest) else 0.0
            sum <- sum + law[x]

        for x in 0 .. prior.Length - 1 do
            law[x] <- law[x] / sum

        let mutable value = log sum + largest

        for k in 0 .. directions.Length - 1 do
            value <- value - multipliers[k] * moments[k] + 0.5 * ridge * multipliers[k] * multipliers[k]

        value

    let private dot (law: float[]) (direction: float[]) =
        let mutable sum = 0.0

        for x in 0 .. law.Length - 1 do
            sum <- sum + law[x] * direction[x]

        sum

    // Newton's method on the dual, steps halved until they go down.
    let internal tilt (basis: FeatureBasis) (prior: float[]) (moments: float[]) : Tilted =
        let directions, moments = basis.Directions, basis.Moments moments
        let d = directions.Length
        let mutable multipliers = Array.zeroCreate<float> d
        let mutable law = Array.zeroCreate prior.Length
        let mutable value = dual prior directions moments multipliers law
        let gap (law: float[]) = Array.init d (fun k -> dot law directions[k] - moments[k])
        let mutable residual = gap law
        let size (gaps: float[]) = gaps |> Array.fold (fun most g -> Math.Max(most, abs g)) 0.0
        let mutable going = d > 0 && size residual > 1e-13
        let mutable iterations = 0

        while going do
            let means = Array.init d (fun k -> dot law directions[k])

            let curvature =
                Matrix<float>
                    .Build.Dense(
                        d,
                        d,
                        fun i j ->
                            let mutable sum = if i = j then ridge else 0.0

                            for x in 0 .. law.Length - 1 do
                                sum <- sum + law[x] * (directions[i].[x] - means[i]) * (directions[j].[x] - means[j])

                            sum
                    )

            let gradient = Vector<float>.Build.Dense(d, fun k -> residual[k] + ridge * multipliers[k])
            let step = curvature.Solve gradient
            let mutable share = 1.0
            let mutable found = false

            while not found && share > 1e-12 do
                let trial = multipliers |> Array.mapi (fun k l -> l - share * step[k])
                let trialLaw = Array.zeroCreate prior.Length
                let trialValue = dual prior directions moments trial trialLaw

                if trialValue < value || (trialValue = value && size (gap trialLaw) < size residual) then
                    multipliers <- trial
                    law <- trialLaw
                    value <- trialValue
                    residual <- gap law
                    found <- true
                else
                    share <- 0.5 * share

            iterations <- iterations + 1
            going <- found && size residual > 1e-13 && iterations < 200

        { Law = law; Multipliers = basis.Multipliers multipliers; Residual = size residual }

    let private require (prior: float[]) (features: float[][]) (moments: float[]) =
        Shape.requireFinite (nameof prior) prior
        Shape.requireFinite (nameof moments) moments
        Shape.requireLength (nameof moments) features.Length moments.Length

        for feature in features do
            Shape.requireLength (nameof features) prior.Length feature.Length
            Shape.requireFinite (nameof features) feature

        if prior |> Array.exists (fun p -> p < 0.0) || not (abs (Array.sum prior - 1.0) <= 1e-9) then
            invalidArg (nameof prior) $"the prior must be a law but its least entry is {Array.min prior} and its sum {Array.sum prior}"

    /// argmin over q of KL(q | prior) with E_q phi_i = psi_i: q(x) = prior(x) exp(sum over i of l_i phi_i(x)) / Z, by Newton's method on the dual with a ridge of 1e-10, so that moments on the edge of
    /// what the prior's support allows are met but for the residual that is told.
    let correct (prior: float[]) (features: float[][]) (moments: float[]) : Tilted =
        require prior features moments
        tilt (FeatureBasis features) prior moments

    /// KL(q | p) = sum q log(q / p); infinite where q has mass and p has none.
    let divergence (q: float[]) (p: float[]) : float =
        Shape.requireLength (nameof p) q.Length p.Length
        let mutable sum = 0.0

        for x in 0 .. q.Length - 1 do
            if q[x] > 0.0 then
                sum <- sum + (if p[x] > 0.0 then q[x] * log (q[x] / p[x]) else Double.PositiveInfinity)

        sum
