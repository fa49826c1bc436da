namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations

/// One joint law of several returns for each state. Not changed once it has been handed out.
[<Sealed>]
type JointTable(laws: Sample[]) =

    do
        for law in laws do
            Sample.RequireSame(nameof laws, laws[0], law)

    let laws = Array.copy laws

    /// The number of states.
    member _.Places = laws.Length
    /// The number of returns of which each law speaks; zero for no states.
    member _.Dimension = if laws.Length = 0 then 0 else laws[0].Dimension

    /// The law at a state.
    member _.Law(place: int) : Sample =
        if place < 0 || place >= laws.Length then
            invalidArg (nameof place) $"place must lie in [0, {laws.Length}) but is {place}"

        laws[place]

/// Tables of joint laws.
[<RequireQualifiedAccess>]
module JointTable =

    /// The table that has the law of zero at each state.
    let zero (places: int) (dimension: int) : JointTable = JointTable(Array.create places (JointLaw.point (Array.zeroCreate dimension)))

    /// The largest MMD over states of the kernel -|x - y|^b on R^N, b in (0, 2). Shifting both laws leaves it as it is, scaling both by c scales it by c^(b/2).
    let energyMmd (exponent: float) : Metric<JointTable> =
        if not (exponent > 0.0 && exponent < 2.0) then
            invalidArg (nameof exponent) $"the exponent must lie in (0, 2) but is {exponent}"

        {
            Key = MetricKey.Statewise $"joint MMD_{exponent}"
            Convex = true
            Separates = true
            Distance =
                fun x y ->
                    Shape.requireLength "y" x.Places y.Places
                    let mutable largest = 0.0

                    for place in 0 .. x.Places - 1 do
                        largest <- Math.Max(largest, sqrt (Discrepancy.squaredMmd (EnergyKernel exponent) (x.Law place) (y.Law place)))

                    largest
        }

    /// Tables of joint laws. A combination is the mixture state by state, so that its weights must not be negative and must sum to one; there is no inner product of
    /// laws but that of means.
    let space: Space<JointTable> =
        let means (x: JointTable) = Array.init x.Places (fun place -> JointLaw.mean (x.Law place)) |> Array.concat

        {
            Copy = fun x -> JointTable(Array.init x.Places x.Law)
            Combine =
                fun a x b y ->
                    Shape.requireLength "y" x.Places y.Places
                    JointTable(Array.init x.Places (fun place -> JointLaw.mixture [ struct (a, x.Law place); struct (b, y.Law place) ]))
            Inner = fun x y -> Space.vectors.Inner (means x) (means y)
            NotFinite = fun _ -> ValueNone
            Order = ValueNone
            Release = ignore
        }
