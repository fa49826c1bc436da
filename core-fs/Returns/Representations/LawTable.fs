namespace ValueFlow.Core.Returns

open ValueFlow.Core.Foundations

/// For each place a finite law as it is: exact laws, particles, samples.
[<Sealed>]
type LawTable(laws: Distribution[]) =
    inherit ReturnTable(laws.Length)

    let laws = Array.copy laws

    override this.Law(place: int) =
        this.RequirePlace place
        laws[place]

    /// The most atoms of a place.
    member _.MostAtoms = if laws.Length = 0 then 0 else laws |> Array.map _.Count |> Array.max

/// Tables of finite laws.
[<RequireQualifiedAccess>]
module Laws =

    /// The table with the laws of another one.
    let ofTable (table: ReturnTable) : LawTable = LawTable(Array.init table.Places table.Law)

    /// The table that has the law of a number at each place.
    let point (places: int) (x: float) : LawTable = LawTable(Array.create places (Distribution.point x))

    /// Tables of finite laws. A combination is the mixture place by place, so that its weights must not be negative and must sum to one;
    /// there is no inner product of laws but that of means.
    let space: Space<LawTable> =
        {
            Copy = ofTable
            Combine =
                fun a x b y ->
                    Shape.requireLength "y" x.Places y.Places
                    LawTable(Array.init x.Places (fun place -> Distribution.mixture [ struct (a, x.Law place); struct (b, y.Law place) ]))
            Inner = fun x y -> Space.vectors.Inner x.Means y.Means
            NotFinite = fun _ -> ValueNone
            Order = ValueNone
            Release = ignore
        }
