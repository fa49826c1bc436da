namespace ValueFlow.Benchmarks

/// A figure of another library, recorded elsewhere, with the yardstick that was measured beside it.
type PeerFigure =
    {
        /// Library and method.
        Name: string
        /// The figure, in the unit of the row that it stands beside.
        Figure: float
        /// The yardstick in the same unit; nothing where the figure needs none.
        Yardstick: float voption
        /// How both were got.
        Source: string
    }

/// A goal, and whether it was reached in this run.
type Goal =
    {
        /// What was asked for, and what was found.
        Text: string
        /// Whether it was reached.
        IsMet: bool
    }

/// One measured figure.
type Row =
    {
        /// The group it belongs to.
        Section: string
        /// What was measured.
        Name: string
        /// The figure: less is better in every row that has a yardstick.
        Figure: float
        /// Its unit.
        Unit: string
        /// The same in other words, such as steps per second.
        Note: string
        /// What it is held against, measured in turns with it: a name and a figure in the same unit.
        Yardstick: struct (string * float) voption
        /// The figure in yardsticks: the median of the ratios of single repeats.
        Ratio: float voption
        /// Repeats behind the medians.
        Repeats: int
        /// The recorded figure of another library.
        Peer: PeerFigure voption
        /// What was to be reached.
        Goal: Goal voption
    }

/// Makes rows.
[<RequireQualifiedAccess>]
module Row =

    /// A figure by itself.
    let figure (section: string) (name: string) (unit: string) (value: float) : Row =
        {
            Section = section
            Name = name
            Figure = value
            Unit = unit
            Note = ""
            Yardstick = ValueNone
            Ratio = ValueNone
            Repeats = 1
            Peer = ValueNone
            Goal = ValueNone
        }

    /// A time beside the time of a yardstick that was measured in turns with it; units: "us", "ms" or "s".
    let timed (section: string) (name: string) (unit: string) (timing: Timing) (yardstick: string) (rod: Timing) : Row =
        let factor =
            match unit with
            | "us" -> 1e6
            | "ms" -> 1e3
            | _ -> 1.0

        { figure section name unit (factor * Measure.seconds timing) with
            Yardstick = ValueSome(struct (yardstick, factor * Measure.seconds rod))
            Ratio = ValueSome(Measure.ratio timing rod)
            Repeats = timing.Cpu.Length
        }

    /// With a goal: the number must not be larger than the bound.
    let atMost (what: string) (bound: float) (found: float) (row: Row) : Row =
        { row with Goal = ValueSome { Text = $"{what} <= {bound:G3}: {found:G3}"; IsMet = found <= bound } }

    /// With a goal: the number must not be smaller than the bound.
    let atLeast (what: string) (bound: float) (found: float) (row: Row) : Row =
        { row with Goal = ValueSome { Text = $"{what} >= {bound:G3}: {found:G3}"; IsMet = found >= bound } }
